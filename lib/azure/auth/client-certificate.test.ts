import assert from 'node:assert/strict';
import { createPrivateKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { before, describe, test } from 'node:test';
import forge from 'node-forge';
import { readClientCertificate } from './client-certificate.ts';

function issue() {
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
  return { key: privateKey, certificate: forge.pki.certificateToPem(certificate), forged: certificate };
}

const pkcs12 = (made: ReturnType<typeof issue>, password: string | null, algorithm: 'aes256' | '3des'): Buffer => {
  const asn1 = forge.pkcs12.toPkcs12Asn1(forge.pki.privateKeyFromPem(made.key), [made.forged], password, { algorithm });
  return Buffer.from(forge.asn1.toDer(asn1).getBytes(), 'latin1');
};

describe('a client certificate', () => {
  let own: ReturnType<typeof issue>;
  let other: ReturnType<typeof issue>;
  before(() => {
    own = issue();
    other = issue();
  });

  const check = (found: ReturnType<typeof readClientCertificate>) => {
    const certificate = new X509Certificate(own.certificate);
    assert.equal(found.thumbprintSha256, certificate.fingerprint256.replaceAll(':', ''));
    assert.ok(certificate.checkPrivateKey(createPrivateKey(found.privateKey)));
    assert.ok(new X509Certificate(found.x5c).checkPrivateKey(createPrivateKey(found.privateKey)), 'its own certificate comes first');
  };

  test('reads a client certificate from PEM, with a chain or an encrypted key', () => {
    check(readClientCertificate(Buffer.from(own.key + own.certificate)));
    check(readClientCertificate(Buffer.from(`bag attributes\n${other.certificate}${own.certificate}${own.key}`)));
    const encrypted = createPrivateKey(own.key).export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'p' });
    check(readClientCertificate(Buffer.from(encrypted + own.certificate), 'p'));
  });

  test('reads a client certificate from PKCS#12 with old and new ciphers and passwords', () => {
    check(readClientCertificate(pkcs12(own, 'p', 'aes256'), 'p'));
    check(readClientCertificate(pkcs12(own, 'p', '3des'), 'p'));
    check(readClientCertificate(pkcs12(own, '', 'aes256')));
    check(readClientCertificate(pkcs12(own, '', 'aes256'), ''));
  });

  test('refuses a damaged client certificate without quoting key material', () => {
    const refused: [Buffer, string | undefined, RegExp][] = [
      [Buffer.from(own.certificate), undefined, /must hold a CERTIFICATE and its PRIVATE KEY/],
      [Buffer.from(own.key + other.certificate), undefined, /none of the certificates belongs/],
      [pkcs12(own, 'p', 'aes256'), 'wrong', /does not|opens with the given password/],
      [pkcs12(own, 'p', 'aes256'), undefined, /opens with the given password/],
      [Buffer.from('garbage'), undefined, /neither PEM nor a PKCS#12 file/],
    ];
    for (const [bytes, password, expected] of refused) assert.throws(() => readClientCertificate(bytes, password), expected);
  });
});
