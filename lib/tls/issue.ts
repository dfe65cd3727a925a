// Issues X.509 certificates over RSA keys. node:crypto generates keys without blocking but cannot issue; node-forge issues, for RSA only
// (docs/reference/node-runtime.md). Everything is PEM.
import { createPrivateKey, sign as createSignature, generateKeyPair } from 'node:crypto';
import { promisify } from 'node:util';
import forge from 'node-forge';
import type { KeyPair } from './key-pair.ts';

/** Time and randomness are parameters, so that issuing is pure. */
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
  const { privateKey } = await generate('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  return privateKey;
}

/** A self-signed CA for ten years. Its subject is unique, so that clients distinguish two CAs of one bundle. */
export function issueAuthority({ now, key, serial }: IssueContext): KeyPair {
  const certificate = draft({ key, serial, notBefore: now, notAfter: new Date(now.getTime() + authorityLifeMs) });
  const subject = [{ name: 'commonName', value: `aad-pod-identity CA ${certificate.serialNumber.slice(0, 16)}` }];
  certificate.setSubject(subject);
  certificate.setIssuer(subject);
  certificate.setExtensions([
    { name: 'basicConstraints', critical: true, cA: true, pathLenConstraint: 0 },
    { name: 'keyUsage', critical: true, keyCertSign: true, cRLSign: true },
    { name: 'subjectKeyIdentifier' },
  ]);
  return sign(certificate, key, key);
}

/** A server certificate for 90 days, never longer than its CA. */
export function issueLeaf(authority: KeyPair, dnsNames: readonly string[], { now, key, serial }: IssueContext): KeyPair {
  const ca = forge.pki.certificateFromPem(authority.certificate);
  const end = Math.min(now.getTime() + leafLifeMs, ca.validity.notAfter.getTime());
  const certificate = draft({ key, serial, notBefore: now, notAfter: new Date(end) });
  // A common name holds 64 characters, fewer than the full name of a Service may have. Clients read the alternative names only.
  certificate.setSubject([{ name: 'commonName', value: (dnsNames.at(-1) ?? '').slice(0, 64) }]);
  certificate.setIssuer(ca.subject.attributes);
  certificate.setExtensions([
    { name: 'basicConstraints', critical: true, cA: false },
    { name: 'keyUsage', critical: true, digitalSignature: true, keyEncipherment: true },
    { name: 'extKeyUsage', serverAuth: true },
    { name: 'subjectAltName', altNames: dnsNames.map((value) => ({ type: 2, value })) },
    { name: 'subjectKeyIdentifier' },
    { name: 'authorityKeyIdentifier', keyIdentifier: ca.generateSubjectKeyIdentifier().getBytes() },
  ]);
  return sign(certificate, key, authority.key);
}

/** Every name under which a Service is reached inside the cluster, the shortest last. */
export function serviceNames(service: string, namespace: string): string[] {
  const full = `${service}.${namespace}.svc`;
  return [full, `${full}.cluster.local`, `${service}.${namespace}`, service];
}

function draft(parts: { key: string; serial: Uint8Array; notBefore: Date; notAfter: Date }): forge.pki.Certificate {
  const certificate = forge.pki.createCertificate();
  const { n, e } = forgeKey(parts.key);
  certificate.publicKey = forge.pki.setRsaPublicKey(n, e);
  // A serial number is positive, so its first bit is 0, and of fixed length, so its first byte is not 0.
  const serial = Buffer.from(parts.serial);
  serial.writeUInt8((serial.readUInt8(0) & 0x3f) | 0x40, 0);
  certificate.serialNumber = serial.toString('hex');
  certificate.validity.notBefore = new Date(parts.notBefore.getTime() - backdateMs);
  certificate.validity.notAfter = parts.notAfter;
  return certificate;
}

function sign(certificate: forge.pki.Certificate, key: string, signingKey: string): KeyPair {
  const signer = forgeKey(signingKey);
  // RSA of node-forge is JavaScript, which blocks the process for 30 ms a signature. node:crypto takes one.
  signer.sign = () => {
    const signed = Buffer.from(forge.asn1.toDer(certificate.tbsCertificate).getBytes(), 'latin1');
    return createSignature('sha256', signed, signingKey).toString('latin1');
  };
  certificate.sign(signer, forge.md.sha256.create());
  return { key, certificate: forge.pki.certificateToPem(certificate).replaceAll('\r\n', '\n') };
}

/** forge types only PKCS#1 keys as private keys. */
function forgeKey(pkcs8: string): forge.pki.rsa.PrivateKey {
  return forge.pki.privateKeyFromPem(createPrivateKey(pkcs8).export({ type: 'pkcs1', format: 'pem' }).toString());
}
