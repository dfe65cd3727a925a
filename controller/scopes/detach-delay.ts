// Since when each recorded identity is unused. A restart begins the delay anew, which only keeps an identity attached a little longer. Pure.

/** By lower-case ARM id; milliseconds since the epoch. */
export type UnusedSince = ReadonlyMap<string, number>;

export function trackUnused(before: UnusedSince, recorded: Iterable<string>, needed: ReadonlySet<string>, now: number): UnusedSince {
  return new Map([...recorded].filter((id) => !needed.has(id)).map((id) => [id, before.get(id) ?? now]));
}

/** Ids that have been unused for the whole delay. */
export const expired = (unused: UnusedSince, delayMs: number, now: number): Set<string> =>
  new Set([...unused].filter(([, since]) => since + delayMs <= now).map(([id]) => id));

/** Milliseconds until the next delay expires; infinite where none runs. */
export const nextExpiryMs = (unused: UnusedSince, delayMs: number, now: number): number =>
  Math.min(...[...unused.values()].map((since) => since + delayMs - now).filter((ms) => ms > 0));
