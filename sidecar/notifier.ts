import type { Clock } from '../common/clock.ts';

/** Calls every subscriber once, at the next notification. A subscriber that wants the one after it subscribes again. */
export interface Notifier {
  notify(): void;
  /** Returns the function that unsubscribes. */
  subscribe(listener: () => void): () => void;
}

export function createNotifier(): Notifier {
  const listeners = new Set<() => void>();
  return {
    notify() {
      const current = [...listeners];
      listeners.clear();
      for (const listener of current) listener();
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/** Resolves at the next notification of any of the notifiers, after `ms` milliseconds or as soon as the signal aborts. Leaves nothing behind. */
export function nextNotification(
  notifiers: readonly Notifier[],
  { clock, ms, signal }: { clock: Clock; ms: number; signal: AbortSignal },
): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const wake = () => {
      cancel();
      for (const unsubscribe of subscriptions) unsubscribe();
      signal.removeEventListener('abort', wake);
      resolve();
    };
    const cancel = clock.after(ms, wake);
    const subscriptions = notifiers.map((notifier) => notifier.subscribe(wake));
    signal.addEventListener('abort', wake);
  });
}
