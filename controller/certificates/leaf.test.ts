import assert from 'node:assert/strict';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { dayMs, generateKey, issueAuthority, issueLeaf, serviceNames } from '../../lib/tls/issue.ts';
import { isLeafGood, readPair, writePair } from './leaf.ts';

const now = new Date('2026-03-01T00:00:00Z');
const context = async () => ({ now, key: await generateKey(), serial: randomBytes(16) });

test('keeps a leaf for its CA, its names and two thirds of its life', async () => {
  const [authority, other] = [issueAuthority(await context()), issueAuthority(await context())];
  const names = serviceNames('broker', 'identity');
  const leaf = issueLeaf(authority, names, await context());
  const after = (days: number) => new Date(now.getTime() + days * dayMs);
  assert.equal(isLeafGood(leaf, authority.certificate, names, after(59)), true);
  assert.equal(isLeafGood(leaf, authority.certificate, names, after(61)), false);
  assert.equal(isLeafGood(leaf, other.certificate, names, after(1)), false);
  assert.equal(isLeafGood(leaf, authority.certificate, serviceNames('webhook', 'identity'), after(1)), false);
});

test('replaces a leaf whose key is RSA', async () => {
  const authority = issueAuthority(await context());
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  const leaf = issueLeaf(authority, ['broker'], { ...(await context()), key: rsa });
  assert.equal(isLeafGood(leaf, authority.certificate, ['broker'], now), false);
});

test('reads the pair that it wrote, and none from damaged data', async () => {
  const [one, two] = [issueAuthority(await context()), issueAuthority(await context())];
  assert.deepEqual(readPair(writePair(one)), one);
  assert.equal(readPair(writePair({ ...one, key: two.key })), undefined);
  assert.equal(readPair({}), undefined);
});
