/**
 * Turns a burst of calls into one: `run` happens after `quietMs` without a call, or `maxMs` after the first one.
 * Calls that come while `run` is under way are collected for the next one; runs never overlap.
 */
export function collectCalls(options: { quietMs: number; maxMs: number; run(): Promise<void> }) {
  let first: number | undefined;
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<void> | undefined;
  let stopped = false;

  function schedule(delayMs: number): void {
    clearTimeout(timer);
    timer = setTimeout(start, delayMs);
  }

  function start(): void {
    if (running !== undefined || stopped) return;
    clearTimeout(timer);
    first = undefined;
    running = options.run().finally(() => {
      running = undefined;
      if (first !== undefined && !stopped) schedule(options.quietMs);
    });
  }

  return {
    call(): void {
      if (stopped) return;
      first ??= performance.now();
      if (running === undefined) schedule(Math.max(0, Math.min(options.quietMs, first + options.maxMs - performance.now())));
    },
    /** Somebody called since the last run began. */
    get called(): boolean {
      return first !== undefined;
    },
    async stop(): Promise<void> {
      stopped = true;
      clearTimeout(timer);
      await running;
    },
  };
}
