import { LRUCache } from 'lru-cache';
import type { Clock } from '../common/clock.ts';
import { systemClock } from '../common/clock.ts';

/**
 * Returns a function that is true for the same text once in `ms`: a failure that a thousand objects have in common, or that lasts for hours,
 * is logged once in a while. Of `remembered` texts it knows when they were seen last.
 */
export function onceIn(ms: number, clock: Clock = systemClock, remembered = 1_000): (text: string) => boolean {
  const seen = new LRUCache<string, number>({ max: remembered });
  return (text) => {
    const now = clock.now();
    const last = seen.get(text);
    if (last !== undefined && now - last < ms) return false;
    seen.set(text, now);
    return true;
  };
}
