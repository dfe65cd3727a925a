// The clock of the three services. It follows the machine's time, shifted by jumps, or stands still until it is moved. A test can pass a token's life in
// a moment, and a sleeping request wakes when emulated time has passed.

export type Clock = {
  /** Milliseconds since the epoch, as the emulated services see them. */
  now(): number;
  /** Resolves once `ms` of emulated time have passed, or at once when the signal aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Moves the clock, forward or back. */
  advance(ms: number): void;
  freeze(): void;
  run(): void;
  readonly frozen: boolean;
  /** Wakes every sleeper; later sleeps end at once. Part of stopping the emulator. */
  stop(): void;
};

type Sleeper = { due: number; timer: NodeJS.Timeout | null; wake: () => void };

// setTimeout fires at once for anything longer than 2^31-1 ms.
const longestTimer = 2 ** 31 - 1;

export function createClock(machine: () => number = Date.now): Clock {
  let offset = 0;
  let stoppedAt: number | null = null;
  let ended = false;
  const sleepers = new Set<Sleeper>();

  const now = () => stoppedAt ?? machine() + offset;

  function arm(sleeper: Sleeper): void {
    if (sleeper.timer !== null) clearTimeout(sleeper.timer);
    sleeper.timer = null;
    const left = sleeper.due - now();
    if (left <= 0) sleeper.wake();
    else if (stoppedAt === null) sleeper.timer = setTimeout(() => arm(sleeper), Math.min(left, longestTimer));
  }

  const rearm = () => {
    for (const sleeper of [...sleepers]) arm(sleeper);
  };

  return {
    now,
    sleep(ms, signal) {
      return new Promise((resolve) => {
        const sleeper: Sleeper = {
          due: now() + ms,
          timer: null,
          wake: () => {
            sleepers.delete(sleeper);
            if (sleeper.timer !== null) clearTimeout(sleeper.timer);
            signal?.removeEventListener('abort', sleeper.wake);
            resolve();
          },
        };
        if (ended || signal?.aborted === true) return resolve();
        signal?.addEventListener('abort', sleeper.wake, { once: true });
        sleepers.add(sleeper);
        arm(sleeper);
      });
    },
    advance(ms) {
      if (stoppedAt === null) offset += ms;
      else stoppedAt += ms;
      rearm();
    },
    freeze() {
      stoppedAt = now();
      rearm();
    },
    run() {
      if (stoppedAt === null) return;
      offset = stoppedAt - machine();
      stoppedAt = null;
      rearm();
    },
    get frozen() {
      return stoppedAt !== null;
    },
    stop() {
      ended = true;
      for (const sleeper of [...sleepers]) sleeper.wake();
    },
  };
}
