import assert from 'node:assert/strict';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { before, describe, it } from 'node:test';
import { generateKey, issueAuthority, issueLeaf } from './issue.ts';
import type { KeyPair } from './key-pair.ts';
import { parseKeyPair } from './key-pair.ts';

describe('parseKeyPair', () => {
  let ca: KeyPair;
  let leaf: KeyPair;
  before(async () => {
    const context = async () => ({ now: new Date(), key: await generateKey(), serial: randomBytes(16) });
    ca = issueAuthority(await context());
    leaf = issueLeaf(ca, ['webhook.system.svc'], await context());
  });

  it('reads a leaf, its key and its intermediates from the entries of a TLS Secret', () => {
    const certificate = leaf.certificate + ca.certificate;
    const pair = parseKeyPair({ 'tls.crt': certificate, 'tls.key': leaf.key });
    assert.deepEqual([pair.certificate, pair.key, pair.chain.length], [certificate, leaf.key, 2]);
    assert.equal(pair.chain[0].checkHost('webhook.system.svc'), 'webhook.system.svc');
  });

  it('reads a pair from entries of other names', () => {
    assert.equal(parseKeyPair({ a: ca.certificate, b: ca.key }, { certificate: 'a', key: 'b' }).key, ca.key);
  });

  it('refuses a pair that is missing, damaged or does not match, in one line', () => {
    const other = generateKeyPairSync('rsa', {
      modulusLength: 2048,
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
      publicKeyEncoding: { type: 'spki', format: 'pem' },
    });
    const cases: [Record<string, string>, RegExp][] = [
      [{}, /^tls\.crt is missing$/],
      [{ 'tls.crt': leaf.certificate }, /^tls\.key is missing$/],
      [{ 'tls.crt': 'no', 'tls.key': leaf.key }, /^tls\.crt holds no certificate$/],
      [{ 'tls.crt': leaf.certificate, 'tls.key': 'no' }, /^tls\.key is not a private key in PEM$/],
      [{ 'tls.crt': leaf.certificate, 'tls.key': ca.key }, /^tls\.key does not belong/],
      // OpenSSL accepts this pair and then fails every handshake.
      [{ 'tls.crt': leaf.certificate, 'tls.key': other.privateKey }, /^tls\.key does not belong/],
    ];
    for (const [data, message] of cases) assert.throws(() => parseKeyPair(data), { name: 'KeyPairError', message });
  });
});
