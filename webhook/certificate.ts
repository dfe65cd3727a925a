// Serving certificate and CA bundle, as they lie in their objects, checked before use.
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { stringAt } from '../common/records.ts';

export interface ServingCertificate {
  /** PEM, leaf first. */
  certificate: string;
  /** PEM. */
  key: string;
  chain: X509Certificate[];
  notAfter: Date;
}

/** Reads a Secret of type kubernetes.io/tls. Throws with one line that says what is wrong; never quotes the key. */
export function parseServingCertificate(secret: unknown): ServingCertificate {
  const certificate = decoded(secret, 'tls.crt');
  const key = decoded(secret, 'tls.key');
  const chain = parseCertificates(certificate);
  const [leaf] = chain;
  if (leaf === undefined) throw new Error('tls.crt holds no certificate');
  let matches: boolean;
  try {
    matches = leaf.checkPrivateKey(createPrivateKey(key));
  } catch {
    throw new Error('tls.key is not a private key in PEM');
  }
  // OpenSSL takes a key of another kind without a word and then fails every handshake (spec/node-runtime.md 4.3).
  if (!matches) throw new Error('tls.key does not belong to the certificate in tls.crt');
  return { certificate, key, chain, notAfter: new Date(leaf.validTo) };
}

function decoded(secret: unknown, key: string): string {
  const value = stringAt(secret, 'data', key);
  if (value === undefined) throw new Error(`${key} is missing`);
  return Buffer.from(value, 'base64').toString('utf8');
}

const certificatePem = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/g;

/** Every certificate of a PEM text in order; what is not one is left out. */
export function parseCertificates(pem: string): X509Certificate[] {
  return (pem.match(certificatePem) ?? []).flatMap((text) => {
    try {
      return [new X509Certificate(text)];
    } catch {
      return [];
    }
  });
}

/** Whether a client that trusts only `roots` accepts the chain at this time: what the API server will do with the caBundle. */
export function verifies(chain: readonly X509Certificate[], roots: readonly X509Certificate[], now: Date): boolean {
  const valid = (certificate: X509Certificate) => new Date(certificate.validFrom) <= now && now <= new Date(certificate.validTo);
  const issued = (child: X509Certificate, parent: X509Certificate) => child.checkIssued(parent) && child.verify(parent.publicKey);
  const [leaf, ...intermediates] = chain;
  if (leaf === undefined || !valid(leaf)) return false;
  let end = leaf;
  const left = new Set(intermediates.filter(valid));
  for (;;) {
    const last = end;
    if (roots.some((root) => valid(root) && (root.raw.equals(last.raw) || issued(last, root)))) return true;
    const parent = [...left].find((candidate) => issued(last, candidate));
    if (parent === undefined) return false;
    left.delete(parent);
    end = parent;
  }
}
