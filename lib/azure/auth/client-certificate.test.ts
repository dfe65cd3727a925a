import assert from 'node:assert/strict';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { before, describe, test } from 'node:test';
import { readClientCertificate } from './client-certificate.ts';
import type { TestClientCertificate } from './testing/client-certificate.ts';
import { createClientCertificate, pkcs12Of } from './testing/client-certificate.ts';

describe('a client certificate', () => {
  let own: TestClientCertificate;
  let other: TestClientCertificate;
  before(() => {
    own = createClientCertificate();
    other = createClientCertificate();
  });

  const check = (found: Awaited<ReturnType<typeof readClientCertificate>>) => {
    const certificate = new X509Certificate(own.certificate);
    assert.equal(found.thumbprintSha256, certificate.fingerprint256.replaceAll(':', ''));
    assert.ok(certificate.checkPrivateKey(createPrivateKey(found.privateKey)));
    assert.ok(new X509Certificate(found.x5c).checkPrivateKey(createPrivateKey(found.privateKey)), 'its own certificate comes first');
  };

  test('reads a client certificate from PEM, with a chain or an encrypted key', async () => {
    check(await readClientCertificate(Buffer.from(own.key + own.certificate)));
    check(await readClientCertificate(Buffer.from(`bag attributes\n${other.certificate}${own.certificate}${own.key}`)));
    const encrypted = createPrivateKey(own.key).export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'p' });
    check(await readClientCertificate(Buffer.from(encrypted + own.certificate), 'p'));
  });

  test('reads a client certificate from PKCS#12 with old and new ciphers and passwords', async () => {
    check(await readClientCertificate(pkcs12Of(own, 'p', 'aes256'), 'p'));
    check(await readClientCertificate(pkcs12Of(own, 'p', '3des'), 'p'));
    check(await readClientCertificate(pkcs12Of(own, '', 'aes256')));
    check(await readClientCertificate(pkcs12Of(own, '', 'aes256'), ''));
  });

  test('refuses a damaged client certificate without quoting key material', async () => {
    const refused: [Buffer, string | undefined, RegExp][] = [
      [Buffer.from(own.certificate), undefined, /must hold a CERTIFICATE and its PRIVATE KEY/],
      [Buffer.from(own.key + other.certificate), undefined, /none of the certificates belongs/],
      [pkcs12Of(own, 'p', 'aes256'), 'wrong', /does not|opens with the given password/],
      [pkcs12Of(own, 'p', 'aes256'), undefined, /opens with the given password/],
      [Buffer.from('garbage'), undefined, /neither PEM nor a PKCS#12 file/],
    ];
    for (const [bytes, password, expected] of refused) await assert.rejects(readClientCertificate(bytes, password), expected);
  });
});
