import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { before, describe, it } from 'node:test';
import { generateKey, issueAuthority, issueLeaf } from '../lib/tls/issue.ts';
import type { CheckedKeyPair, KeyPair } from '../lib/tls/key-pair.ts';
import { parseKeyPair } from '../lib/tls/key-pair.ts';
import { missing } from './readiness.ts';

describe('webhook readiness', () => {
  const now = new Date();
  let ca: KeyPair;
  let next: KeyPair;
  let leaf: KeyPair;
  let serving: CheckedKeyPair;
  before(async () => {
    const context = async () => ({ now, key: await generateKey(), serial: randomBytes(16) });
    ca = issueAuthority(await context());
    next = issueAuthority(await context());
    leaf = issueLeaf(ca, ['webhook.system.svc'], await context());
    serving = parseKeyPair({ 'tls.crt': leaf.certificate, 'tls.key': leaf.key });
  });

  it('names what is missing, nothing when ready', () => {
    const informers = { synced: true, trusted: [next.certificate + ca.certificate] };
    const good = { synced: true, keyPair: serving, problem: undefined };
    const ready = { informers, certificate: good, nativeKnown: true, draining: false, webhookConfiguration: 'zz', now };
    const whatIsMissing = (changes: Partial<typeof ready>) => missing({ ...ready, ...changes }) ?? '';
    assert.equal(missing(ready), undefined);
    assert.match(whatIsMissing({ draining: true }), /stopping/);
    assert.match(whatIsMissing({ informers: { ...informers, synced: false } }), /first lists/);
    assert.match(missing({ ...ready, certificate: { ...good, synced: false } }) ?? '', /first lists/);
    assert.match(whatIsMissing({ nativeKnown: false }), /version of the API server/);
    assert.equal(missing({ ...ready, certificate: { ...good, problem: 'no certificate' } }), 'no certificate');
    assert.equal(missing({ ...ready, informers: { synced: true, trusted: [] } }), undefined, 'before the controller adds the entries');
    for (const [trusted, text] of [
      [[''], /does not verify/],
      [[ca.certificate, next.certificate], /does not verify/],
    ] as const)
      assert.match(whatIsMissing({ informers: { synced: true, trusted: [...trusted] } }), text);
  });
});
