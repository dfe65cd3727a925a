// Who may use the thread next. A body can take a millisecond or a second to parse and handle, so sources are compared by the time that they have used
// and not by the number of their bodies (docs/adr/0024-connection-and-memory-limits.md).
import type { Clock } from '../../common/clock.ts';

export interface Turns {
  /**
   * Resolves when the source may use the thread, until it next waits for something. One source has a turn in each turn of the event loop, for one body
   * of any size or a few of at most {@link smallBytes}.
   */
  take(source: string, bytes: number): Promise<void>;
}

interface Source {
  /** Milliseconds, counted from what others had used when it came. */
  used: number;
  restsUntil: number;
  waiting: { start(): void; isSmall: boolean }[];
}

/** What a turn of the event loop costs by itself counts beside a body of this size, which takes a millisecond at most. */
const smallBytes = 16 * 1024;
const smallOnes = 4;
/** After a longer turn a source rests as long, since new connections of others need several turns of the event loop. */
const longMs = 50;

/** Of the processor: a machine that is busy with other work makes no turn long. */
function threadMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

export function createTurns(clock: Pick<Clock, 'now' | 'after'>, usedMs: () => number = threadMs): Turns {
  /** Since the last time that none waited or rested. */
  const sources = new Map<string, Source>();
  /** What the source that had the last turn had used before. */
  let floor = 0;
  let busy = false;
  let cancelTimer = () => {};

  function select(now: number): Source | undefined {
    let found: Source | undefined;
    for (const source of sources.values())
      if (source.waiting.length > 0 && source.restsUntil <= now && source.used < (found?.used ?? Number.POSITIVE_INFINITY)) found = source;
    return found;
  }

  function next(): void {
    cancelTimer();
    const began = usedMs();
    const source = select(clock.now());
    busy = source !== undefined;
    if (source === undefined) {
      sleep(clock.now());
      return;
    }
    floor = source.used;
    for (const { start } of takeOut(source.waiting)) start();
    // After everything that the turn did, and what has arrived meanwhile.
    setImmediate(() => {
      const took = usedMs() - began;
      source.used += took;
      if (took > longMs) source.restsUntil = clock.now() + took;
      next();
    });
  }

  /** Until the first source has rested. */
  function sleep(now: number): void {
    const ends = [...sources.values()].map(({ restsUntil }) => restsUntil).filter((end) => end > now);
    if (ends.length === 0) sources.clear();
    else cancelTimer = clock.after(Math.min(...ends) - now, next);
  }

  return {
    take(name, bytes) {
      return new Promise((start) => {
        const source = sources.get(name) ?? { used: floor, restsUntil: 0, waiting: [] };
        sources.set(name, source);
        // A source does not save up time.
        if (source.waiting.length === 0) source.used = Math.max(source.used, floor);
        source.waiting.push({ start, isSmall: bytes <= smallBytes });
        if (!busy) next();
      });
    },
  };
}

/** The first body, and while that is a small one the small ones behind it. */
function takeOut(waiting: Source['waiting']): Source['waiting'] {
  const count = waiting.slice(0, smallOnes).findIndex(({ isSmall }) => !isSmall);
  return waiting.splice(0, count === -1 ? smallOnes : Math.max(1, count));
}
