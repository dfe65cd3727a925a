import { LRUCache } from 'lru-cache';
import type { Clock } from '../common/clock.ts';

/** At most `max` entries, each with a life of its own; the least recently used entry makes room. */
export interface TtlCache<V> {
  get(key: string): V | undefined;
  /** A life of 0 or less keeps nothing. */
  set(key: string, value: V, ttlMs: number): void;
}

export function createTtlCache<V extends NonNullable<unknown>>(max: number, clock: Clock): TtlCache<V> {
  const cache = new LRUCache<string, V>({ max, perf: { now: () => clock.now() }, ttlResolution: 0 });
  return {
    get: (key) => cache.get(key),
    set(key, value, ttl) {
      // For LRUCache a life of 0 is an endless one.
      if (ttl > 0) cache.set(key, value, { ttl });
      else cache.delete(key);
    },
  };
}
