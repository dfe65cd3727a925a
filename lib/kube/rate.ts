import { setTimeout as delay } from 'node:timers/promises';

/**
 * Returns a function that resolves when the caller may go: `burst` at once, then `perSecond`. Waiting is first come, first served.
 * Rejects when the signal aborts first.
 */
export function tokenBucket(perSecond: number, burst: number, now: () => number = () => performance.now()) {
  let tokens = burst;
  let last = now();
  return async (signal?: AbortSignal): Promise<void> => {
    const time = now();
    tokens = Math.min(burst, tokens + ((time - last) * perSecond) / 1000) - 1;
    last = time;
    // A negative balance is a place in the queue: each waiter is already paid for.
    if (tokens < 0) await delay((-tokens / perSecond) * 1000, undefined, signal === undefined ? {} : { signal });
    signal?.throwIfAborted();
  };
}
