import assert from 'node:assert/strict';
import { test } from 'node:test';
import { onceIn } from './once-in.ts';

test('the same text comes through once in a while, another one at once, and memory is bounded', () => {
  let now = 0;
  const mayTell = onceIn(60_000, () => now);
  assert.deepEqual([mayTell('a'), mayTell('a'), mayTell('b')], [true, false, true]);
  now = 59_999;
  assert.equal(mayTell('a'), false);
  now = 60_000;
  assert.equal(mayTell('a'), true);
  for (let index = 0; index < 2_000; index += 1) mayTell(String(index));
  assert.equal(mayTell('a'), true, 'forgotten');
});
