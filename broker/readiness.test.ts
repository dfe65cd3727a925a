import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { generateKey, issueAuthority } from '../lib/tls/issue.ts';
import { parseKeyPair } from '../lib/tls/key-pair.ts';
import { missing } from './readiness.ts';

test('names what the broker waits for, nothing when it is ready', async () => {
  const pair = issueAuthority({ now: new Date(), key: await generateKey(), serial: randomBytes(16) });
  const keyPair = parseKeyPair({ 'tls.crt': pair.certificate, 'tls.key': pair.key });
  const certificate = { keyPair, caBundle: pair.certificate };
  const ready = { informers: { synced: true, waitingFor: () => [] }, certificate, draining: false };
  assert.equal(missing(ready), undefined);
  assert.equal(missing({ ...ready, draining: true }), 'stopping');
  assert.equal(missing({ ...ready, informers: { synced: false, waitingFor: () => ['pods', 'x'] } }), 'waiting for the list of pods, x');
  assert.match(missing({ ...ready, certificate: { ...certificate, keyPair: undefined } }) ?? '', /no serving certificate/);
  assert.match(missing({ ...ready, certificate: { ...certificate, caBundle: undefined } }) ?? '', /no CA bundle/);
});
