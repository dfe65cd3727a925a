// Keys and the two certificates of a throw-away cluster. Its users sign in with tokens, so only the API server has a certificate.
import { generateKeyPair, randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import forge from 'node-forge';

export interface ClusterCertificates {
  ca: string;
  /** Serves the API, and is what the API server shows to kubelet. */
  apiServer: { certificate: string; key: string };
  /** Signs service account tokens. */
  serviceAccountKey: string;
}

const day = 24 * 3600 * 1000;

async function newKey(): Promise<string> {
  const { privateKey } = await promisify(generateKeyPair)('rsa', { modulusLength: 2048 });
  return privateKey.export({ type: 'pkcs1', format: 'pem' }).toString();
}

function newCertificate(commonName: string, organization: string, now: Date): forge.pki.Certificate {
  const certificate = forge.pki.createCertificate();
  // A positive number: the first bit stays clear.
  certificate.serialNumber = `01${randomBytes(15).toString('hex')}`;
  certificate.validity.notBefore = new Date(now.getTime() - day);
  certificate.validity.notAfter = new Date(now.getTime() + 365 * day);
  certificate.setSubject([
    { name: 'commonName', value: commonName },
    { name: 'organizationName', value: organization },
  ]);
  return certificate;
}

export async function makeCertificates(addresses: string[], now: Date): Promise<ClusterCertificates> {
  const [caKey, key, serviceAccountKey] = await Promise.all([newKey(), newKey(), newKey()]);
  const ca = newCertificate('test-cluster-ca', 'test-cluster', now);
  const caPrivate = forge.pki.privateKeyFromPem(caKey);
  ca.publicKey = forge.pki.setRsaPublicKey(caPrivate.n, caPrivate.e);
  ca.setIssuer(ca.subject.attributes);
  ca.setExtensions([
    { name: 'basicConstraints', cA: true, critical: true },
    { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
    { name: 'subjectKeyIdentifier' },
  ]);
  ca.sign(caPrivate, forge.md.sha256.create());

  const leaf = newCertificate('kube-apiserver', 'system:masters', now);
  const leafPrivate = forge.pki.privateKeyFromPem(key);
  leaf.publicKey = forge.pki.setRsaPublicKey(leafPrivate.n, leafPrivate.e);
  leaf.setIssuer(ca.subject.attributes);
  const names = ['localhost', 'kubernetes', 'kubernetes.default', 'kubernetes.default.svc', 'kubernetes.default.svc.cluster.local'];
  leaf.setExtensions([
    { name: 'basicConstraints', cA: false, critical: true },
    { name: 'keyUsage', digitalSignature: true, keyEncipherment: true, critical: true },
    { name: 'extKeyUsage', serverAuth: true, clientAuth: true },
    // 2 is a DNS name, 7 an IP address.
    { name: 'subjectAltName', altNames: [...names.map((value) => ({ type: 2, value })), ...addresses.map((ip) => ({ type: 7, ip }))] },
  ]);
  leaf.sign(caPrivate, forge.md.sha256.create());
  const pem = (certificate: forge.pki.Certificate) => forge.pki.certificateToPem(certificate).replaceAll('\r\n', '\n');
  return { ca: pem(ca), apiServer: { certificate: pem(leaf), key }, serviceAccountKey };
}
