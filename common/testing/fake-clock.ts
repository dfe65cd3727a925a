import type { Clock } from '../clock.ts';

export interface FakeClock extends Clock {
  /** Moves both times; whatever becomes due runs in order, with everything it sets off. */
  advance(ms: number): Promise<void>;
  /** Moves wall time alone, as a corrected clock does. */
  jump(ms: number): void;
  readonly timers: number;
}

const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

export function createFakeClock(start = Date.UTC(2026, 0, 1)): FakeClock {
  let now = 1000;
  let offset = start - now;
  const timers = new Set<{ at: number; call: () => void }>();
  return {
    wall: () => now + offset,
    now: () => now,
    after(ms, call) {
      const timer = { at: now + ms, call };
      timers.add(timer);
      return () => timers.delete(timer);
    },
    async advance(ms) {
      const end = now + ms;
      for (;;) {
        await settle();
        const next = [...timers].filter((timer) => timer.at <= end).sort((a, b) => a.at - b.at)[0];
        if (next === undefined) break;
        timers.delete(next);
        now = Math.max(now, next.at);
        next.call();
      }
      now = end;
      await settle();
    },
    jump(ms) {
      offset += ms;
    },
    get timers() {
      return timers.size;
    },
  };
}
