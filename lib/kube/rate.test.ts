import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { backoff } from './backoff.ts';
import { tokenBucket } from './rate.ts';

describe('the call rate', () => {
  it('lets a burst go at once and makes the others wait, in turn', async () => {
    const turn = tokenBucket(100, 2);
    const gone: number[] = [];
    const calls = [0, 1, 2, 3].map(async (call) => {
      await turn();
      gone.push(call);
    });
    await Promise.all(calls.slice(0, 2));
    assert.deepEqual(gone, [0, 1], 'the others wait');
    await Promise.all(calls);
    assert.deepEqual(gone, [0, 1, 2, 3]);
  });

  it('refuses a caller who has given up', async () => {
    await assert.rejects(tokenBucket(10, 2)(AbortSignal.abort(new Error('gone'))), /gone/);
  });
});

describe('backing off', () => {
  it('doubles to its limit, each delay between half and whole, and begins anew', () => {
    const lowest = backoff(100, 400, () => 0);
    assert.deepEqual([lowest.next(), lowest.next(), lowest.next(), lowest.next()], [50, 100, 200, 200]);
    const highest = backoff(100, 400, () => 1);
    assert.deepEqual([highest.next(), highest.next(), highest.next(), highest.next()], [100, 200, 400, 400]);
    highest.reset();
    assert.equal(highest.next(), 100);
  });
});
