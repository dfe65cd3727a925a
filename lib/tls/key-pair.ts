// A certificate and its private key, checked before use: anyone with rights to the Secret may have changed either of them.
import { createPrivateKey, X509Certificate } from 'node:crypto';

/** Both PEM. */
export interface KeyPair {
  /** The leaf first, then intermediates. */
  certificate: string;
  key: string;
}

/** The key belongs to the leaf. */
export interface CheckedKeyPair extends KeyPair {
  /** The leaf first. */
  chain: readonly [X509Certificate, ...X509Certificate[]];
}

/** One line that says what is wrong; never quotes the key. */
export class KeyPairError extends Error {
  override readonly name = 'KeyPairError';
}

/** Entries of a Secret of type kubernetes.io/tls. */
export const tlsEntries = { certificate: 'tls.crt', key: 'tls.key' } as const;

/** From the decoded data of a Secret. Throws {@link KeyPairError}. */
export function parseKeyPair(
  data: Readonly<Record<string, string>>,
  entries: { readonly certificate: string; readonly key: string } = tlsEntries,
): CheckedKeyPair {
  const { [entries.certificate]: certificate, [entries.key]: key } = data;
  if (certificate === undefined) throw new KeyPairError(`${entries.certificate} is missing`);
  if (key === undefined) throw new KeyPairError(`${entries.key} is missing`);
  const [leaf, ...intermediates] = parseCertificates(certificate);
  if (leaf === undefined) throw new KeyPairError(`${entries.certificate} holds no certificate`);
  let matches: boolean;
  try {
    matches = leaf.checkPrivateKey(createPrivateKey(key));
  } catch {
    throw new KeyPairError(`${entries.key} is not a private key in PEM`);
  }
  // OpenSSL accepts a key of another type and then fails every handshake (docs/reference/node-runtime.md).
  if (!matches) throw new KeyPairError(`${entries.key} does not belong to the certificate in ${entries.certificate}`);
  return { certificate, key, chain: [leaf, ...intermediates] };
}

const certificatePem = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/g;

/** Every certificate of a PEM text in order. Ignores everything else. */
export function parseCertificates(pem: string): X509Certificate[] {
  return (pem.match(certificatePem) ?? []).flatMap((text) => {
    try {
      return [new X509Certificate(text)];
    } catch {
      return [];
    }
  });
}
