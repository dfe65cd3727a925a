// What the controller asks of the certificates and keys in its Secrets.
import { X509Certificate } from 'node:crypto';
import { hasCurrentKeyType } from '../../lib/tls/issue.ts';
import type { KeyPair } from '../../lib/tls/key-pair.ts';
import { parseKeyPair, tlsEntries } from '../../lib/tls/key-pair.ts';

/** From the decoded data of a Secret; undefined where the pair is missing or damaged, so that it is issued anew. */
export function readPair(
  data: Readonly<Record<string, string>>,
  entries: typeof tlsEntries | { certificate: string; key: string } = tlsEntries,
): KeyPair | undefined {
  try {
    const { certificate, key } = parseKeyPair(data, entries);
    return { certificate, key };
  } catch {
    return undefined;
  }
}

/** In milliseconds since the epoch. */
export function lifeOf(certificate: string): { notBefore: number; notAfter: number } {
  const { validFromDate, validToDate } = new X509Certificate(certificate);
  return { notBefore: validFromDate.getTime(), notAfter: validToDate.getTime() };
}

/** True where a leaf need not be issued anew: a P-256 key, signed by that CA, for exactly those names, and not past two thirds of its life. */
export function isLeafGood(leaf: KeyPair, authority: string, dnsNames: readonly string[], now: Date): boolean {
  const certificate = new X509Certificate(leaf.certificate);
  const ca = new X509Certificate(authority);
  const { notBefore, notAfter } = lifeOf(leaf.certificate);
  return (
    hasCurrentKeyType(certificate) &&
    certificate.checkIssued(ca) &&
    certificate.verify(ca.publicKey) &&
    certificate.subjectAltName === dnsNames.map((name) => `DNS:${name}`).join(', ') &&
    now.getTime() >= notBefore &&
    now.getTime() < notBefore + ((notAfter - notBefore) * 2) / 3
  );
}

export const writePair = ({ certificate, key }: KeyPair): Record<string, string> => ({
  [tlsEntries.certificate]: certificate,
  [tlsEntries.key]: key,
});
