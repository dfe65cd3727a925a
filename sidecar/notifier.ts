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
