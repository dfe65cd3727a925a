/** Keeps since when each recorded identity is unused. A restart begins the linger anew, which only keeps an identity attached a little longer. */
export function createLinger(lingerMs: number) {
  const unusedSince = new Map<string, number>();
  return {
    /** Tells which of the recorded ids nothing needs and whose linger is over. */
    update(recorded: Iterable<string>, wanted: ReadonlySet<string>, now: number): Set<string> {
      const unused = new Set([...recorded].filter((id) => !wanted.has(id)));
      for (const id of unusedSince.keys()) if (!unused.has(id)) unusedSince.delete(id);
      for (const id of unused) if (!unusedSince.has(id)) unusedSince.set(id, now);
      return new Set([...unusedSince].flatMap(([id, since]) => (since + lingerMs <= now ? [id] : [])));
    },
    /** Until the next linger is over; infinite where none runs. */
    nextMs(now: number): number {
      return Math.min(...[...unusedSince.values()].map((since) => since + lingerMs - now).filter((ms) => ms > 0));
    },
  };
}
