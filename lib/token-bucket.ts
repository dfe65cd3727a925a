// Rate limiters of many callers: who may wait its turn uses `waitInTurn`, and `limitEach` keeps a bucket for each key.
import { LRUCache } from 'lru-cache';
import { systemClock } from '../common/clock.ts';
import type { Rate } from '../common/token-bucket.ts';
import { TokenBucket } from '../common/token-bucket.ts';

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
