// Issues X.509 certificates over ECDSA P-256 keys. node:crypto makes keys and signatures but no certificates, so their ASN.1 comes from @peculiar/asn1-x509
// (docs/reference/node-runtime.md#certificates-and-keys). Keys and certificates are PEM.
import { createHash, createPrivateKey, createPublicKey, sign as createSignature, generateKeyPair, X509Certificate } from 'node:crypto';
import { promisify } from 'node:util';
import { AsnConvert, OctetString } from '@peculiar/asn1-schema';
import {
  AlgorithmIdentifier,
  AttributeTypeAndValue,
  AttributeValue,
  AuthorityKeyIdentifier,
  BasicConstraints,
  Certificate,
  ExtendedKeyUsage,
  Extension,
  Extensions,
  GeneralName,
  id_ce_authorityKeyIdentifier,
  id_ce_basicConstraints,
  id_ce_extKeyUsage,
  id_ce_keyUsage,
  id_ce_subjectAltName,
  id_ce_subjectKeyIdentifier,
  id_kp_serverAuth,
  KeyIdentifier,
  KeyUsage,
  KeyUsageFlags,
  Name,
  RelativeDistinguishedName,
  SubjectAlternativeName,
  SubjectKeyIdentifier,
  SubjectPublicKeyInfo,
  TBSCertificate,
  Validity,
  Version,
} from '@peculiar/asn1-x509';
import type { KeyPair } from './key-pair.ts';

/** Time and randomness are parameters. */
export interface IssueContext {
  now: Date;
  /** Private key, PKCS#8 PEM, of the certificate to be issued. */
  key: string;
  /** 16 random bytes. */
  serial: Uint8Array;
}

export const dayMs = 24 * 3600 * 1000;
const authorityLifeMs = 3650 * dayMs;
export const leafLifeMs = 90 * dayMs;
/** The clock of a client may be behind. */
const backdateMs = 3600 * 1000;

const generate = promisify(generateKeyPair);

export async function generateKey(): Promise<string> {
  const { privateKey } = await generate('ec', {
    namedCurve: 'P-256',
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  return privateKey;
}

/** Whether a certificate has a key of the kind that {@link generateKey} makes. */
export const hasCurrentKeyType = (certificate: X509Certificate): boolean =>
  certificate.publicKey.asymmetricKeyDetails?.namedCurve === 'prime256v1';

/** A self-signed CA for ten years. Its subject is unique, so that clients distinguish two CAs of one bundle. */
export function issueAuthority({ now, key, serial: random }: IssueContext): KeyPair {
  const publicKey = publicKeyOf(key);
  const serial = serialOf(random);
  const subject = nameOf(`aad-pod-identity CA ${serial.toString('hex').slice(0, 16)}`);
  return issue({
    key,
    publicKey,
    signingKey: key,
    serial,
    issuer: subject,
    subject,
    now,
    notAfter: new Date(now.getTime() + authorityLifeMs),
    extensions: [
      extension(id_ce_basicConstraints, new BasicConstraints({ cA: true, pathLenConstraint: 0 }), true),
      extension(id_ce_keyUsage, new KeyUsage(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign), true),
      extension(id_ce_subjectKeyIdentifier, new SubjectKeyIdentifier(keyIdOf(publicKey))),
    ],
  });
}

/** A server certificate for 90 days, never longer than its CA. */
export function issueLeaf(authority: KeyPair, dnsNames: readonly string[], { now, key, serial }: IssueContext): KeyPair {
  const publicKey = publicKeyOf(key);
  const ca = parseCertificate(authority.certificate);
  const end = Math.min(now.getTime() + leafLifeMs, ca.validity.notAfter.getTime().getTime());
  return issue({
    key,
    publicKey,
    signingKey: authority.key,
    serial: serialOf(serial),
    issuer: ca.subject,
    // A common name holds 64 characters, fewer than the full name of a Service may have. Clients read the alternative names only.
    subject: nameOf((dnsNames.at(-1) ?? '').slice(0, 64)),
    now,
    notAfter: new Date(end),
    extensions: [
      extension(id_ce_basicConstraints, new BasicConstraints({ cA: false }), true),
      extension(id_ce_keyUsage, new KeyUsage(KeyUsageFlags.digitalSignature), true),
      extension(id_ce_extKeyUsage, new ExtendedKeyUsage([id_kp_serverAuth])),
      extension(id_ce_subjectAltName, new SubjectAlternativeName(dnsNames.map((dNSName) => new GeneralName({ dNSName })))),
      extension(id_ce_subjectKeyIdentifier, new SubjectKeyIdentifier(keyIdOf(publicKey))),
      extension(
        id_ce_authorityKeyIdentifier,
        new AuthorityKeyIdentifier({ keyIdentifier: new KeyIdentifier(keyIdOf(ca.subjectPublicKeyInfo)) }),
      ),
    ],
  });
}

/** Every name under which a Service is reached inside the cluster, the shortest last. */
export function serviceNames(service: string, namespace: string): string[] {
  const full = `${service}.${namespace}.svc`;
  return [full, `${full}.cluster.local`, `${service}.${namespace}`, service];
}

interface Parts {
  key: string;
  publicKey: SubjectPublicKeyInfo;
  signingKey: string;
  serial: Buffer;
  issuer: Name;
  subject: Name;
  now: Date;
  notAfter: Date;
  extensions: Extension[];
}

function issue({ key, publicKey, signingKey, serial, issuer, subject, now, notAfter, extensions }: Parts): KeyPair {
  const signature = signatureAlgorithmOf(signingKey);
  const tbsCertificate = new TBSCertificate({
    version: Version.v3,
    serialNumber: bytesOf(serial),
    signature,
    issuer,
    validity: new Validity({ notBefore: new Date(now.getTime() - backdateMs), notAfter }),
    subject,
    subjectPublicKeyInfo: publicKey,
    extensions: new Extensions(extensions),
  });
  const signatureValue = bytesOf(createSignature('sha256', Buffer.from(AsnConvert.serialize(tbsCertificate)), signingKey));
  const der = AsnConvert.serialize(new Certificate({ tbsCertificate, signatureAlgorithm: signature, signatureValue }));
  return { key, certificate: new X509Certificate(Buffer.from(der)).toString() };
}

/** A CA of an earlier version may have an RSA key. It signs until it is rotated. */
function signatureAlgorithmOf(signingKey: string): AlgorithmIdentifier {
  return createPrivateKey(signingKey).asymmetricKeyType === 'rsa'
    ? new AlgorithmIdentifier({ algorithm: '1.2.840.113549.1.1.11', parameters: null })
    : new AlgorithmIdentifier({ algorithm: '1.2.840.10045.4.3.2' });
}

/** Positive, so its first bit is 0, and of fixed length, so its first byte is not 0. */
function serialOf(random: Uint8Array): Buffer {
  const serial = Buffer.from(random);
  serial.writeUInt8((serial.readUInt8(0) & 0x3f) | 0x40, 0);
  return serial;
}

const nameOf = (utf8String: string): Name =>
  new Name([new RelativeDistinguishedName([new AttributeTypeAndValue({ type: '2.5.4.3', value: new AttributeValue({ utf8String }) })])]);

const extension = (extnID: string, value: object, critical = false): Extension =>
  new Extension({ extnID, critical, extnValue: new OctetString(AsnConvert.serialize(value)) });

const parseCertificate = (pem: string): TBSCertificate =>
  AsnConvert.parse(bytesOf(new X509Certificate(pem).raw), Certificate).tbsCertificate;

const publicKeyOf = (key: string): SubjectPublicKeyInfo =>
  AsnConvert.parse(bytesOf(createPublicKey(key).export({ type: 'spki', format: 'der' })), SubjectPublicKeyInfo);

/** RFC 5280, section 4.2.1.2, method 1. */
const keyIdOf = ({ subjectPublicKey }: SubjectPublicKeyInfo): ArrayBuffer =>
  bytesOf(createHash('sha1').update(Buffer.from(subjectPublicKey)).digest());

/** A buffer of its own: a Buffer shares one with others. */
const bytesOf = (bytes: Uint8Array): ArrayBuffer => new Uint8Array(bytes).buffer;
