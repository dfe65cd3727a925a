import { boundedCache } from './bounded-cache.ts';

/** Returns a function that says whether one more may go now: `burst` at once, then `perSecond`. Unlike lib's token bucket nobody waits. */
export function rateLimit(perSecond: number, burst: number, now: () => number): () => boolean {
  let allowance = burst;
  let last = now();
  return () => {
    const time = now();
    allowance = Math.min(burst, allowance + (Math.max(0, time - last) * perSecond) / 1000);
    last = time;
    if (allowance < 1) return false;
    allowance -= 1;
    return true;
  };
}

/** As {@link rateLimit}, for each key by itself; keys that were not seen for a while start anew. */
export function rateLimitEach(perSecond: number, burst: number, now: () => number): (key: string) => boolean {
  const limits = boundedCache<() => boolean>(20_000, now);
  return (key) => {
    const limit = limits.get(key) ?? rateLimit(perSecond, burst, now);
    limits.set(key, limit, now() + (burst / perSecond) * 1000);
    return limit();
  };
}
