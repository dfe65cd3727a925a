// Certificates of an application, as a person uploads them to Entra: self-signed, with an RSA key.
import { generateKeyPairSync } from 'node:crypto';
import forge from 'node-forge';

/** Both PEM. */
export interface TestClientCertificate {
  certificate: string;
  key: string;
}

export function createClientCertificate(): TestClientCertificate {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  const certificate = forge.pki.createCertificate();
  certificate.publicKey = forge.pki.publicKeyFromPem(publicKey);
  certificate.serialNumber = '01';
  certificate.validity.notAfter = new Date(Date.now() + 86_400_000);
  certificate.setSubject([{ name: 'commonName', value: 'app' }]);
  certificate.setIssuer(certificate.subject.attributes);
  certificate.sign(forge.pki.privateKeyFromPem(privateKey), forge.md.sha256.create());
  return { certificate: forge.pki.certificateToPem(certificate), key: privateKey };
}

export function pkcs12Of(
  { certificate, key }: TestClientCertificate,
  password: string | null,
  algorithm: 'aes256' | '3des' = 'aes256',
): Buffer {
  const [privateKey, chain] = [forge.pki.privateKeyFromPem(key), [forge.pki.certificateFromPem(certificate)]];
  const asn1 = forge.pkcs12.toPkcs12Asn1(privateKey, chain, password, { algorithm });
  return Buffer.from(forge.asn1.toDer(asn1).getBytes(), 'latin1');
}
