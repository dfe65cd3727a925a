import assert from 'node:assert/strict';
import { test } from 'node:test';
import { remaining } from './run.ts';

test('tells how long a step still takes once enough of it is done', () => {
  assert.equal(remaining(100, 0.25), ', about 5 min left');
  assert.equal(remaining(100, 0.9), ', less than a minute left');
  assert.equal(remaining(5, 0.01), '');
  assert.equal(remaining(100, 0), '');
});
