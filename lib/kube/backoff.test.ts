import assert from 'node:assert/strict';
import { it } from 'node:test';
import { backoff } from './backoff.ts';

it('doubles the back-off to its limit, each delay between half and whole', () => {
  const lowest = backoff(100, 400, () => 0);
  assert.deepEqual([lowest.next(), lowest.next(), lowest.next(), lowest.next()], [50, 100, 200, 200]);
  const highest = backoff(100, 400, () => 1);
  assert.deepEqual([highest.next(), highest.next(), highest.next(), highest.next()], [100, 200, 400, 400]);
});

it('begins with the shortest back-off again after a reset', () => {
  const highest = backoff(100, 400, () => 1);
  highest.next();
  highest.next();
  highest.reset();
  assert.equal(highest.next(), 100);
});
