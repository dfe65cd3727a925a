// For tests: rows that the test sets by hand.
import type { PodRows, RowSource } from '../rows.ts';

export function fakeRows() {
  const listeners = new Set<(podKey: string) => void>();
  const waiting = new Set<() => void>();
  const pods = new Map<string, PodRows>();
  const state = { synced: true, version: 5 };
  const rows: RowSource = {
    get synced() {
      return state.synced;
    },
    waitingFor: () => (state.synced ? [] : ['azureassignedidentities']),
    get: (podKey) => pods.get(podKey),
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    versions: () => ({ pods: String(state.version) }),
    whenReached: (versions, signal) =>
      new Promise<void>((resolve, reject) => {
        const check = () => {
          if (state.version >= Number(versions.pods)) resolve();
        };
        waiting.add(check);
        signal.addEventListener('abort', () => reject(signal.reason), { once: true });
        check();
      }),
  };
  return {
    rows,
    state,
    set(podKey: string, value: PodRows | undefined) {
      if (value === undefined) pods.delete(podKey);
      else pods.set(podKey, value);
      for (const listener of listeners) listener(podKey);
    },
    /** What a bookmark does. */
    advance(version: number) {
      state.version = version;
      for (const check of waiting) check();
    },
  };
}
