import assert from 'node:assert/strict';
import { test } from 'node:test';
import { missing } from './readiness.ts';

test('names what the broker waits for, nothing when it is ready', () => {
  const certificate = { problem: undefined };
  const ready = { informers: { synced: true, waitingFor: () => [] }, certificate, draining: false };
  assert.equal(missing(ready), undefined);
  assert.equal(missing({ ...ready, draining: true }), 'stopping');
  assert.equal(missing({ ...ready, informers: { synced: false, waitingFor: () => ['pods', 'x'] } }), 'waiting for the list of pods, x');
  assert.equal(missing({ ...ready, certificate: { problem: 'no certificate' } }), 'no certificate');
});
