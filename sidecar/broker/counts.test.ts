import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Counts } from './counts.ts';

test('counts responses by their result, and slow ones besides', () => {
  const counts = new Counts();
  for (const status of [200, 200, 400, 403, 429, 410, 503, 500]) counts.countTokenResponse(status, 0);
  counts.countTokenResponse(503, 45_000);
  assert.equal(counts.take().text, 'token:2,refused:3,throttled:1,unavailable:3,slow:1');
  assert.equal(counts.take().text, undefined);
});

test('adds what was given back to what was counted since', () => {
  const counts = new Counts();
  counts.add('token', 2);
  const taken = counts.take();
  counts.add('token');
  counts.giveBack(taken.counts);
  assert.equal(counts.take().text, 'token:3');
});
