// A certificate authority made at start and the leaf that ARM and Entra serve with.
import { createPrivateKey, generateKeyPair, randomBytes } from 'node:crypto';
import { isIP } from 'node:net';
import { networkInterfaces } from 'node:os';
import { promisify } from 'node:util';
import forge from 'node-forge';

export type ServingCertificate = { readonly ca: string; readonly cert: string; readonly key: string };

const generate = promisify(generateKeyPair);
const day = 24 * 3600 * 1000;

// forge reads PKCS#1 private keys only.
const toPkcs1 = (pem: string): string => createPrivateKey(pem).export({ type: 'pkcs1', format: 'pem' }).toString();

async function rsaKey(): Promise<{ publicKey: forge.pki.PublicKey; privateKey: forge.pki.rsa.PrivateKey; pem: string }> {
  const { publicKey, privateKey } = await generate('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  return {
    publicKey: forge.pki.publicKeyFromPem(publicKey),
    privateKey: forge.pki.privateKeyFromPem(toPkcs1(privateKey)),
    pem: privateKey,
  };
}

function certificate(subject: string, issuer: string, key: forge.pki.PublicKey, extensions: unknown[]): forge.pki.Certificate {
  const cert = forge.pki.createCertificate();
  cert.publicKey = key;
  // The leading byte keeps the serial number positive.
  cert.serialNumber = `4a${randomBytes(15).toString('hex')}`;
  // TLS clients check validity by the machine's time, never by the emulator's virtual one.
  cert.validity.notBefore = new Date(Date.now() - day);
  cert.validity.notAfter = new Date(Date.now() + 3650 * day);
  cert.setSubject([{ name: 'commonName', value: subject }]);
  cert.setIssuer([{ name: 'commonName', value: issuer }]);
  cert.setExtensions(extensions);
  return cert;
}

/** Every name and address the listeners can be reached by; a wildcard address stands for all of this machine's. */
export function alternativeNames(hosts: readonly string[]): string[] {
  const own = Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map((entry) => entry.address));
  const wildcard = hosts.some((host) => host === '0.0.0.0' || host === '::');
  const names = ['localhost', '127.0.0.1', '::1', ...hosts, ...(wildcard ? own : [])];
  return [...new Set(names.filter((name) => name !== '0.0.0.0' && name !== '::' && !name.includes('%')))];
}

export async function createServingCertificate(names: readonly string[]): Promise<ServingCertificate> {
  const [caKey, leafKey] = await Promise.all([rsaKey(), rsaKey()]);
  const caName = 'Azure emulator CA';
  const ca = certificate(caName, caName, caKey.publicKey, [
    { name: 'basicConstraints', cA: true, critical: true },
    { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
    { name: 'subjectKeyIdentifier' },
  ]);
  ca.sign(caKey.privateKey, forge.md.sha256.create());
  const leaf = certificate('Azure emulator', caName, leafKey.publicKey, [
    { name: 'basicConstraints', cA: false, critical: true },
    { name: 'keyUsage', digitalSignature: true, keyEncipherment: true, critical: true },
    { name: 'extKeyUsage', serverAuth: true },
    { name: 'subjectAltName', altNames: names.map((name) => (isIP(name) === 0 ? { type: 2, value: name } : { type: 7, ip: name })) },
  ]);
  leaf.sign(caKey.privateKey, forge.md.sha256.create());
  const caPem = forge.pki.certificateToPem(ca);
  return { ca: caPem, cert: `${forge.pki.certificateToPem(leaf)}${caPem}`, key: leafKey.pem };
}

/** A certificate nobody issued, with its key (PEM): what app registrations and the attested document sign with. */
export async function createSelfSigned(name: string): Promise<{ cert: string; key: string }> {
  const { publicKey, privateKey, pem } = await rsaKey();
  const cert = certificate(name, name, publicKey, [{ name: 'basicConstraints', cA: false }]);
  cert.sign(privateKey, forge.md.sha256.create());
  return { cert: forge.pki.certificateToPem(cert), key: pem };
}

/** Signs texts with this RSA key (PKCS#8 PEM) as the attested document of IMDS is signed: PKCS#7 with the text inside. */
export function createAttestor(pem: string): (text: string) => string {
  const key = forge.pki.privateKeyFromPem(toPkcs1(pem));
  const name = 'metadata.emulator.local';
  const signer = certificate(name, name, forge.pki.setRsaPublicKey(key.n, key.e), [{ name: 'basicConstraints', cA: false }]);
  signer.sign(key, forge.md.sha256.create());
  return (text) => {
    const message = forge.pkcs7.createSignedData();
    message.content = forge.util.createBuffer(text, 'utf8');
    message.addCertificate(signer);
    message.addSigner({ key, certificate: signer, digestAlgorithm: forge.pki.oids.sha256 ?? '' });
    message.sign();
    return forge.util.encode64(forge.asn1.toDer(message.toAsn1()).getBytes());
  };
}
