// Rate limiters of many callers: `waitInTurn` serves them in the order of their calls, `waitInFairTurn` gives each key a share, and `limitEach` keeps a
// bucket for each key.
import { LRUCache } from 'lru-cache';
import { systemClock } from '../common/clock.ts';
import type { Rate } from '../common/token-bucket.ts';
import { TokenBucket } from '../common/token-bucket.ts';
import { createFairQueue } from './fair-queue.ts';

/**
 * Returns a function that resolves when its caller has a token, first come, first served. It rejects with the signal's reason when that aborts
 * first; the place in the queue then goes to the next caller.
 */
export function waitInTurn(rate: Rate): (signal?: AbortSignal) => Promise<void> {
  const bucket = new TokenBucket(rate);
  const clock = rate.clock ?? systemClock;
  const waiting = new Set<() => void>();

  let cancelTimer: (() => void) | undefined;

  function serve(): void {
    cancelTimer = undefined;
    for (const go of waiting) {
      if (!bucket.take()) break;
      waiting.delete(go);
      go();
    }
    if (waiting.size > 0) wait();
  }

  function wait(): void {
    cancelTimer ??= clock.after(Math.max(1, bucket.waitMs), serve);
  }

  return async (signal) => {
    signal?.throwIfAborted();
    if (waiting.size === 0 && bucket.take()) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const giveUp = () => {
      waiting.delete(resolve);
      if (waiting.size === 0) {
        cancelTimer?.();
        cancelTimer = undefined;
      }
      reject(signal?.reason);
    };
    signal?.addEventListener('abort', giveUp, { once: true });
    waiting.add(resolve);
    wait();
    try {
      await promise;
    } finally {
      signal?.removeEventListener('abort', giveUp);
    }
  };
}

/**
 * Returns a function that resolves with true when its caller has a token. While callers wait, keys take turns: a key with one caller waits for one
 * token of each other key at most, however many callers these have. It resolves with false at once for a caller beyond `maxWaiting`, and for one that
 * has to make room for a key with fewer callers.
 */
export function waitInFairTurn(rate: Rate & { maxWaiting: number }): (key: string) => Promise<boolean> {
  const bucket = new TokenBucket(rate);
  const clock = rate.clock ?? systemClock;
  const waiting = createFairQueue<(admitted: boolean) => void>(rate.maxWaiting);
  let waitsForToken = false;

  function serve(): void {
    waitsForToken = false;
    while (waiting.size > 0 && bucket.take()) waiting.shift()?.(true);
    if (waiting.size > 0) wait();
  }

  function wait(): void {
    if (waitsForToken) return;
    waitsForToken = true;
    clock.after(Math.max(1, bucket.waitMs), serve);
  }

  return (key) =>
    new Promise((resolve) => {
      if (waiting.size === 0 && bucket.take()) return resolve(true);
      waiting.push(key, resolve)?.(false);
      wait();
    });
}

/**
 * Returns a function that says whether one more of this key may go now. Of `keys` keys the limits are remembered; the key that was used longest
 * ago makes room, and begins with a full burst when it comes back.
 */
export function limitEach(rate: Rate & { keys: number }): (key: string) => boolean {
  const buckets = new LRUCache<string, TokenBucket>({ max: rate.keys });
  return (key) => {
    const bucket = buckets.get(key) ?? new TokenBucket(rate);
    buckets.set(key, bucket);
    return bucket.take();
  };
}
