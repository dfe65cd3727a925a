// The certificate and key of an application, from PEM or PKCS#12, as MSAL takes them.
import type { KeyObject } from 'node:crypto';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import type forge from 'node-forge';

export interface ClientCertificate {
  /** PKCS#8 PEM. */
  privateKey: string;
  /** Hex, no colons. */
  thumbprintSha256: string;
  /** PEM, the certificate first, then what is known of its chain. */
  x5c: string;
}

/** Rejects with an Error whose message says what is missing and never holds key material. */
export async function readClientCertificate(bytes: Buffer, password?: string): Promise<ClientCertificate> {
  const text = bytes.toString('latin1');
  const { key, certificates } = text.includes('-----BEGIN') ? fromPem(text, password) : await fromPkcs12(text, password);
  const own = certificates.find((certificate) => certificate.checkPrivateKey(key));
  if (own === undefined) throw new Error('none of the certificates belongs to the private key');
  const chain = [own, ...certificates.filter((certificate) => certificate !== own)];
  return {
    privateKey: key.export({ type: 'pkcs8', format: 'pem' }).toString(),
    thumbprintSha256: own.fingerprint256.replaceAll(':', ''),
    x5c: chain.map((certificate) => certificate.toString()).join(''),
  };
}

interface Parts {
  key: KeyObject;
  certificates: X509Certificate[];
}

function fromPem(text: string, password: string | undefined): Parts {
  const blocks = (label: string) => text.match(new RegExp(`-----BEGIN ${label}-----[^-]+-----END ${label}-----`, 'g')) ?? [];
  const [keyPem] = blocks('[A-Z ]*PRIVATE KEY');
  const certificates = blocks('CERTIFICATE');
  if (keyPem === undefined || certificates.length === 0)
    throw new Error('the PEM must hold a CERTIFICATE and its PRIVATE KEY, in one file');
  return {
    key: privateKey({ key: keyPem, ...(password === undefined ? {} : { passphrase: password }) }),
    certificates: certificates.map(x509),
  };
}

async function fromPkcs12(binary: string, password: string | undefined): Promise<Parts> {
  // Loaded when it is used: most installations have no such file (docs/reference/node-runtime.md#memory).
  const { default: forge } = await import('node-forge');
  const archive = openPkcs12(forge, binary, password);
  const der = (asn1: forge.asn1.Asn1): Buffer => Buffer.from(forge.asn1.toDer(asn1).getBytes(), 'latin1');
  const { pkcs8ShroudedKeyBag = '', keyBag = '', certBag = '' } = forge.pki.oids;
  const keys = [pkcs8ShroudedKeyBag, keyBag].flatMap((bagType) => archive.getBags({ bagType })[bagType] ?? []);
  const certificates = archive.getBags({ bagType: certBag })[certBag] ?? [];
  const [keyBagFound] = keys;
  if (keyBagFound === undefined || certificates.length === 0)
    throw new Error('the PKCS#12 file must hold a certificate and its private key');
  // forge parses RSA keys only; Node reads the ASN.1 of any other.
  const keyInfo = keyBagFound.key == null ? keyBagFound.asn1 : forge.pki.wrapRsaPrivateKey(forge.pki.privateKeyToAsn1(keyBagFound.key));
  return {
    key: privateKey({ key: der(keyInfo), format: 'der', type: 'pkcs8' }),
    certificates: certificates.map((bag) => x509(der(bag.cert == null ? bag.asn1 : forge.pki.certificateToAsn1(bag.cert)))),
  };
}

function openPkcs12({ pkcs12, asn1 }: Pick<typeof forge, 'pkcs12' | 'asn1'>, binary: string, password: string | undefined) {
  // An empty password and no password differ in PKCS#12, and a file made without a password can need either.
  for (const attempt of password === undefined || password === '' ? ['', undefined] : [password]) {
    try {
      return pkcs12.pkcs12FromAsn1(asn1.fromDer(binary), false, attempt);
    } catch {
      // Tries the next one. The error is dropped, since forge can quote what it decrypted.
    }
  }
  throw new Error('neither PEM nor a PKCS#12 file that opens with the given password');
}

const x509 = (certificate: string | Buffer): X509Certificate => new X509Certificate(certificate);

function privateKey(input: Parameters<typeof createPrivateKey>[0]): KeyObject {
  try {
    return createPrivateKey(input);
  } catch {
    throw new Error('the private key cannot be read: it is damaged, or its password is wrong or missing');
  }
}
