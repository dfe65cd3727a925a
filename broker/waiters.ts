// Polls that wait for something to change. One set entry and one timer each: thousands are cheap.

export interface Waiters {
  /** Resolves after a change of that key, after `ms`, when the signal aborts, or when all are woken; it never rejects. */
  wait(key: string, ms: number, signal: AbortSignal): Promise<void>;
  wake(key: string): void;
  wakeAll(): void;
  readonly size: number;
}

export function createWaiters(): Waiters {
  const waiting = new Map<string, Set<() => void>>();
  let size = 0;

  return {
    wait(key, ms, signal) {
      if (signal.aborted) return Promise.resolve();
      return new Promise((resolve) => {
        const done = () => {
          clearTimeout(timer);
          signal.removeEventListener('abort', done);
          const set = waiting.get(key);
          if (set?.delete(done)) size -= 1;
          if (set?.size === 0) waiting.delete(key);
          resolve();
        };
        const timer = setTimeout(done, ms);
        signal.addEventListener('abort', done, { once: true });
        const set = waiting.get(key);
        if (set === undefined) waiting.set(key, new Set([done]));
        else set.add(done);
        size += 1;
      });
    },
    wake(key) {
      for (const done of [...(waiting.get(key) ?? [])]) done();
    },
    wakeAll() {
      for (const set of [...waiting.values()]) for (const done of [...set]) done();
    },
    get size() {
      return size;
    },
  };
}
