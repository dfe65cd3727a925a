import type { Clock } from '../common/clock.ts';

/** Wakes everything that waits on it, as often as it is fired. Waiters leave nothing behind when they give up. */
export interface Event {
  fire(): void;
  subscribe(call: () => void): () => void;
}

export function createEvent(): Event {
  const calls = new Set<() => void>();
  return {
    fire() {
      const current = [...calls];
      calls.clear();
      for (const call of current) call();
    },
    subscribe(call) {
      calls.add(call);
      return () => calls.delete(call);
    },
  };
}

/** Resolves when the time is over, an event fires or the signal aborts, whichever is first. Never rejects. */
export function pause(
  clock: Clock,
  ms: number,
  options: { events?: readonly Event[]; signal?: AbortSignal | undefined } = {},
): Promise<void> {
  const { events = [], signal } = options;
  return new Promise((resolve) => {
    if (signal?.aborted === true) return resolve();
    const undo: (() => void)[] = [];
    const done = () => {
      for (const leave of undo) leave();
      resolve();
    };
    undo.push(clock.after(Math.max(0, ms), done));
    for (const event of events) undo.push(event.subscribe(done));
    if (signal !== undefined) {
      signal.addEventListener('abort', done, { once: true });
      undo.push(() => signal.removeEventListener('abort', done));
    }
  });
}
