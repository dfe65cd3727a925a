// Certificates and keys as Secrets hold them, where anyone may have touched them.
import { createPrivateKey, X509Certificate } from 'node:crypto';
import type { KeyAndCertificate } from './issue.ts';

/** The pair, or undefined where one half is missing, is not PEM, or does not belong to the other. A mismatch would fail every handshake. */
export function readPair(certificate: string | undefined, key: string | undefined): KeyAndCertificate | undefined {
  if (certificate === undefined || key === undefined) return undefined;
  try {
    return new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key)) ? { certificate, key } : undefined;
  } catch {
    return undefined;
  }
}

/** In milliseconds since the epoch. */
export function lifeOf(certificate: string): { notBefore: number; notAfter: number } {
  const { validFromDate, validToDate } = new X509Certificate(certificate);
  return { notBefore: validFromDate.getTime(), notAfter: validToDate.getTime() };
}

/** True where a leaf need not be issued anew: signed by that CA, for exactly those names, and not past two thirds of its life. */
export function isLeafGood(leaf: KeyAndCertificate, authority: string, dnsNames: readonly string[], now: Date): boolean {
  const certificate = new X509Certificate(leaf.certificate);
  const ca = new X509Certificate(authority);
  const { notBefore, notAfter } = lifeOf(leaf.certificate);
  return (
    certificate.checkIssued(ca) &&
    certificate.verify(ca.publicKey) &&
    certificate.subjectAltName === dnsNames.map((name) => `DNS:${name}`).join(', ') &&
    now.getTime() >= notBefore &&
    now.getTime() < notBefore + ((notAfter - notBefore) * 2) / 3
  );
}

/** From the decoded data of a Secret of type kubernetes.io/tls. */
export const readLeaf = (data: Readonly<Record<string, string>>): KeyAndCertificate | undefined =>
  readPair(data['tls.crt'], data['tls.key']);

export const writeLeaf = ({ certificate, key }: KeyAndCertificate): Record<string, string> => ({ 'tls.crt': certificate, 'tls.key': key });
