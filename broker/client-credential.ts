// The credential of a service principal, from the Secret that its AzureIdentity names (docs/reference/aad-pod-identity.md).
import type { ClientCredential } from '../lib/azure/auth/application-token.ts';
import { readClientCertificate } from '../lib/azure/auth/client-certificate.ts';
import { metadataOf, stringMapAt } from '../lib/kube/objects.ts';

export interface SecretCredential {
  credential: ClientCredential;
  /** Of the Secret: another one after each change. */
  version: string;
}

/** From a raw Secret; type 1 is a client secret, type 2 a certificate. Rejects with an Error that says what is missing and quotes nothing of the data. */
export async function parseClientCredential(type: 1 | 2, rawSecret: unknown): Promise<SecretCredential> {
  const data = stringMapAt(rawSecret, 'data');
  const { uid = '', resourceVersion = '' } = metadataOf(rawSecret);
  return {
    credential: type === 1 ? { clientSecret: passwordIn(data) } : { clientCertificate: await certificateIn(data) },
    version: `${uid} ${resourceVersion}`,
  };
}

/** aad-pod-identity took any one of the keys; its documentation says `clientSecret`. */
function passwordIn(data: Record<string, string>): string {
  const keys = Object.keys(data);
  const key = 'clientSecret' in data ? 'clientSecret' : keys.length === 1 ? keys[0] : undefined;
  if (key === undefined) throw new Error('must have a key clientSecret, or one key only');
  // Files and `echo` end with a newline, which no client secret has.
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
