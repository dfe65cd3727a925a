/** Delays of a retry that never gives up: doubling from `minMs` to `maxMs`, each drawn between half and whole so that peers spread out. */
export function backoff(minMs: number, maxMs: number, random: () => number = Math.random) {
  let step = minMs;
  return {
    next(): number {
      const delay = step * (0.5 + random() / 2);
      step = Math.min(maxMs, step * 2);
      return delay;
    },
    reset(): void {
      step = minMs;
    },
  };
}
