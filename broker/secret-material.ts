// The proof of a service principal, from the data of its Secret by upstream's key names (spec/aad-pod-identity.md 3.10).

import type { Material } from '../lib/azure/auth/application-token.ts';
import { readClientCertificate } from '../lib/azure/auth/client-certificate.ts';
import { stringMapAt } from '../lib/kube/objects.ts';

/** Throws an Error that says what is missing in the Secret, and nothing of what is there. */
export function materialOf(type: 1 | 2, rawSecret: unknown): Material {
  const data = stringMapAt(rawSecret, 'data');
  return type === 1 ? { clientSecret: passwordIn(data) } : { clientCertificate: certificateIn(data) };
}

/** Upstream took any key, at random where there are several; its documentation says `clientSecret`. */
function passwordIn(data: Record<string, string>): string {
  const keys = Object.keys(data);
  const key = 'clientSecret' in data ? 'clientSecret' : keys.length === 1 ? keys[0] : undefined;
  if (key === undefined) throw new Error('must have a key clientSecret, or one key only');
  // Files and `echo` end with a line end, which no client secret has.
  const text = Buffer.from(data[key] ?? '', 'base64')
    .toString()
    .replace(/[\r\n]+$/, '');
  if (text === '') throw new Error(`has nothing under ${key}`);
  return text;
}

function certificateIn({ certificate, password }: Record<string, string>) {
  if (certificate === undefined) throw new Error('must have a key certificate (PKCS#12), and password where it has one');
  const bytes = Buffer.from(certificate, 'base64');
  return readClientCertificate(bytes, password === undefined ? undefined : Buffer.from(password, 'base64').toString());
}
