import assert from 'node:assert/strict';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { before, describe, it } from 'node:test';
import type { KeyAndCertificate } from '../controller/certificates/issue.ts';
import { dayMs, generateKey, issueAuthority, issueLeaf } from '../controller/certificates/issue.ts';
import type { ServingCertificate } from './certificate.ts';
import { parseCertificates, parseServingCertificate, verifies } from './certificate.ts';
import { missing } from './readiness.ts';

const secretOf = (certificate: string | undefined, key: string | undefined) => {
  const data = Object.entries({ 'tls.crt': certificate, 'tls.key': key }).filter(([, value]) => value !== undefined);
  return { data: Object.fromEntries(data.map(([name, value]) => [name, Buffer.from(value ?? '').toString('base64')])) };
};

describe('serving certificate and what trusts it', () => {
  const now = new Date();
  let ca: KeyAndCertificate;
  let next: KeyAndCertificate;
  let leaf: KeyAndCertificate;
  let serving: ServingCertificate;
  before(async () => {
    const context = async () => ({ now, key: await generateKey(), serial: randomBytes(16) });
    ca = issueAuthority(await context());
    next = issueAuthority(await context());
    leaf = issueLeaf(ca, ['webhook.system.svc'], await context());
    serving = parseServingCertificate(secretOf(leaf.certificate, leaf.key));
  });

  it('is read from a TLS Secret with its end', () => {
    assert.equal(serving.chain.length, 1);
    assert.ok(serving.notAfter.getTime() > now.getTime() + 80 * dayMs);
  });

  it('is refused with one line that says what is wrong', () => {
    const other = generateKeyPairSync('ec', {
      namedCurve: 'P-256',
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
      publicKeyEncoding: { type: 'spki', format: 'pem' },
    });
    const cases: [unknown, RegExp][] = [
      [{}, /^tls\.crt is missing$/],
      [secretOf(leaf.certificate, undefined), /^tls\.key is missing$/],
      [secretOf('no', leaf.key), /^tls\.crt holds no certificate$/],
      [secretOf(leaf.certificate, 'no'), /^tls\.key is not a private key in PEM$/],
      [secretOf(leaf.certificate, next.key), /^tls\.key does not belong/],
      // OpenSSL itself would take this pair and then fail every handshake.
      [secretOf(leaf.certificate, other.privateKey), /^tls\.key does not belong/],
    ];
    for (const [secret, says] of cases) assert.throws(() => parseServingCertificate(secret), { message: says });
  });

  it('is trusted by a bundle that holds its CA at any place, through intermediates too, and only while everything is valid', () => {
    const pem = (...parts: string[]) => parseCertificates(parts.join(''));
    assert.equal(verifies(serving.chain, pem(next.certificate, 'garbage\n', ca.certificate), now), true);
    assert.equal(verifies(serving.chain, pem(next.certificate), now), false);
    assert.equal(verifies(serving.chain, [], now), false);
    assert.equal(verifies([], pem(ca.certificate), now), false);
    assert.equal(verifies(serving.chain, pem(leaf.certificate), now), true, 'the leaf itself');
    assert.equal(
      verifies([...serving.chain, ...pem(next.certificate, ca.certificate)], pem(ca.certificate), now),
      true,
      'a chain with more than needed',
    );
    assert.equal(verifies(serving.chain, pem(ca.certificate), new Date(now.getTime() + 91 * dayMs)), false, 'after its end');
    assert.equal(verifies(serving.chain, pem(ca.certificate), new Date(now.getTime() - dayMs)), false, 'before its begin');
  });

  it('decides readiness, which names what is missing', () => {
    const ready = { synced: true, certificate: serving, caBundle: ca.certificate, trusted: [next.certificate + ca.certificate] };
    const state = { nativeKnown: true, draining: false, webhookConfiguration: 'zz', now };
    assert.equal(missing(ready, state), undefined);
    assert.match(missing(ready, { ...state, draining: true }) ?? '', /stopping/);
    assert.match(missing({ ...ready, synced: false }, state) ?? '', /first lists/);
    assert.match(missing(ready, { ...state, nativeKnown: false }) ?? '', /version of the API server/);
    assert.match(missing({ ...ready, certificate: undefined }, state) ?? '', /no serving certificate/);
    assert.match(missing({ ...ready, caBundle: undefined }, state) ?? '', /no CA bundle/);
    assert.match(missing({ ...ready, trusted: [] }, state) ?? '', /zz is not there/);
    assert.match(missing({ ...ready, trusted: [''] }, state) ?? '', /does not verify/);
    assert.match(missing({ ...ready, trusted: [ca.certificate, next.certificate] }, state) ?? '', /does not verify/, 'one of two entries');
  });
});
