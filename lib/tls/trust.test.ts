import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { dayMs, generateKey, issueAuthority, issueLeaf } from './issue.ts';
import { parseCertificates, parseKeyPair } from './key-pair.ts';
import { isTrusted } from './trust.ts';

test('trusts a valid chain to any CA of the bundle, through intermediates', async () => {
  const now = new Date();
  const context = async () => ({ now, key: await generateKey(), serial: randomBytes(16) });
  const [ca, next] = [issueAuthority(await context()), issueAuthority(await context())];
  const leaf = issueLeaf(ca, ['webhook.system.svc'], await context());
  const serving = parseKeyPair({ 'tls.crt': leaf.certificate, 'tls.key': leaf.key });
  const pem = (...parts: string[]) => parseCertificates(parts.join(''));
  assert.equal(isTrusted(serving.chain, pem(next.certificate, 'garbage\n', ca.certificate), now), true);
  assert.equal(isTrusted(serving.chain, pem(next.certificate), now), false);
  assert.equal(isTrusted(serving.chain, [], now), false);
  assert.equal(isTrusted([], pem(ca.certificate), now), false);
  assert.equal(isTrusted(serving.chain, pem(leaf.certificate), now), true, 'the leaf itself');
  assert.equal(
    isTrusted([...serving.chain, ...pem(next.certificate, ca.certificate)], pem(ca.certificate), now),
    true,
    'a chain with more than needed',
  );
  assert.equal(isTrusted(serving.chain, pem(ca.certificate), new Date(now.getTime() + 91 * dayMs)), false, 'after its end');
  assert.equal(isTrusted(serving.chain, pem(ca.certificate), new Date(now.getTime() - dayMs)), false, 'before its begin');
});
