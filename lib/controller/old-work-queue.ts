// The queue of before the runner: goes as soon as assignments and release-all use startRunner.
import { backoff } from '../kube/backoff.ts';

export interface WorkQueue {
  /** A key that waits is queued once; a key under work is done once more afterwards. */
  add(key: string): void;
  /** Adds the key after a while. */
  addAfter(key: string, delayMs: number): void;
  /** Ends after the work under way; what waits is dropped. */
  stop(): Promise<void>;
}

/**
 * Does work by key, never the same key twice at a time, at most `concurrency` keys together.
 * A key whose work throws is retried with a growing delay until it succeeds.
 */
export function createWorkQueue(options: {
  concurrency: number;
  work(key: string, signal: AbortSignal): Promise<void>;
  onError(key: string, error: unknown, retryMs: number): void;
  retryMs?: [min: number, max: number];
}): WorkQueue {
  const waiting = new Set<string>();
  const working = new Map<string, Promise<void>>();
  const again = new Set<string>();
  const retries = new Map<string, ReturnType<typeof backoff>>();
  const timers = new Map<string, NodeJS.Timeout>();
  const stopping = new AbortController();

  function add(key: string): void {
    if (stopping.signal.aborted) return;
    if (working.has(key)) again.add(key);
    else {
      waiting.add(key);
      pump();
    }
  }

  /** The last date given for a key counts. */
  function addAfter(key: string, delayMs: number): void {
    if (stopping.signal.aborted) return;
    clearTimeout(timers.get(key));
    timers.set(
      key,
      setTimeout(() => {
        timers.delete(key);
        add(key);
      }, delayMs),
    );
  }

  function pump(): void {
    for (const key of waiting) {
      if (working.size >= options.concurrency || stopping.signal.aborted) return;
      waiting.delete(key);
      working.set(key, run(key));
    }
  }

  async function run(key: string): Promise<void> {
    try {
      // Lets a burst of synchronous adds settle before the first work starts.
      await Promise.resolve();
      await options.work(key, stopping.signal);
      retries.delete(key);
    } catch (error) {
      if (!stopping.signal.aborted) {
        const retry = retries.get(key) ?? backoff(...(options.retryMs ?? [100, 30_000]));
        retries.set(key, retry);
        const retryMs = retry.next();
        options.onError(key, error, retryMs);
        addAfter(key, retryMs);
      }
    }
    working.delete(key);
    if (again.delete(key)) waiting.add(key);
    pump();
  }

  return {
    add,
    addAfter,
    async stop() {
      stopping.abort(new Error('stopped'));
      waiting.clear();
      again.clear();
      for (const timer of timers.values()) clearTimeout(timer);
      timers.clear();
      await Promise.all(working.values());
    },
  };
}
