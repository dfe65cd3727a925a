// Held polls wait here for a change of their pod. One set entry and one timer each: thousands are cheap.
import type { Clock } from '../common/clock.ts';

export interface PodChanges {
  /** Resolves after a change of that pod, after `ms`, when the signal aborts, or after `notifyAll`; it never rejects. */
  wait(podKey: string, ms: number, signal: AbortSignal): Promise<void>;
  notify(podKey: string): void;
  notifyAll(): void;
  /** Callers that wait at this moment. */
  readonly waiting: number;
}

export function createPodChanges(clock: Clock): PodChanges {
  const waiting = new Map<string, Set<() => void>>();
  let count = 0;

  return {
    wait(podKey, ms, signal) {
      if (signal.aborted) return Promise.resolve();
      return new Promise((resolve) => {
        const callers = waiting.get(podKey) ?? new Set();
        const done = () => {
          if (!callers.delete(done)) return;
          count -= 1;
          if (callers.size === 0) waiting.delete(podKey);
          cancel();
          signal.removeEventListener('abort', done);
          resolve();
        };
        const cancel = clock.after(ms, done);
        signal.addEventListener('abort', done, { once: true });
        waiting.set(podKey, callers.add(done));
        count += 1;
      });
    },
    notify(podKey) {
      for (const done of [...(waiting.get(podKey) ?? [])]) done();
    },
    notifyAll() {
      for (const callers of [...waiting.values()]) for (const done of [...callers]) done();
    },
    get waiting() {
      return count;
    },
  };
}
