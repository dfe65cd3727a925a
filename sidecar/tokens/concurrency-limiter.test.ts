import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Release } from './concurrency-limiter.ts';
import { createConcurrencyLimiter } from './concurrency-limiter.ts';

const tick = () => new Promise<void>((resolve) => setImmediate(resolve));

test('admits one request, two after a success and one after a failure, in order', async () => {
  const limiter = createConcurrencyLimiter();
  const { signal } = new AbortController();
  const admitted: number[] = [];
  const releases: Release[] = [];
  for (let i = 0; i < 6; i += 1) {
    void limiter.acquire(signal).then((release) => {
      admitted.push(i);
      if (release !== undefined) releases.push(release);
    });
  }
  await tick();
  assert.deepEqual(admitted, [0]);
  releases[0]?.(true);
  await tick();
  assert.deepEqual(admitted, [0, 1, 2]);
  releases[1]?.(false);
  await tick();
  assert.deepEqual(admitted, [0, 1, 2], 'one is still running');
  releases[2]?.(true);
  await tick();
  assert.deepEqual(admitted, [0, 1, 2, 3, 4]);
});

test('removes an aborted request from the queue', async () => {
  const limiter = createConcurrencyLimiter();
  const release = await limiter.acquire(new AbortController().signal);
  const aborted = new AbortController();
  const second = limiter.acquire(aborted.signal);
  const third = limiter.acquire(new AbortController().signal);
  aborted.abort();
  assert.equal(await second, undefined);
  release?.(false);
  assert.notEqual(await third, undefined);
});
