/** Values with an end date, at most `limit` of them: the oldest entry makes room. */
export interface BoundedCache<T> {
  get(key: string): T | undefined;
  /** `until` in milliseconds since the epoch. */
  set(key: string, value: T, until: number): void;
  readonly size: number;
}

export function boundedCache<T>(limit: number, now: () => number): BoundedCache<T> {
  const entries = new Map<string, { value: T; until: number }>();
  return {
    get(key) {
      const entry = entries.get(key);
      if (entry === undefined) return undefined;
      if (now() < entry.until) return entry.value;
      entries.delete(key);
      return undefined;
    },
    set(key, value, until) {
      entries.delete(key);
      if (entries.size >= limit)
        for (const oldest of entries.keys()) {
          entries.delete(oldest);
          break;
        }
      entries.set(key, { value, until });
    },
    get size() {
      return entries.size;
    },
  };
}
