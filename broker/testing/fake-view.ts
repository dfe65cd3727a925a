// For tests: what the broker sees of the cluster, set by hand.
import type { BrokerView, PodView, Seen } from '../view.ts';

export function fakeView() {
  const listeners = new Set<(podKey: string) => void>();
  const catchingUp = new Set<() => void>();
  const pods = new Map<string, PodView>();
  const state = { synced: true, version: 5 };
  const view: BrokerView = {
    get synced() {
      return state.synced;
    },
    rowsFor: (podKey) => pods.get(podKey),
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    seen: () => ({ pods: String(state.version) }),
    whenSeen: (seen: Seen, signal) =>
      new Promise((resolve, reject) => {
        const check = () => {
          if (state.version >= Number(seen.pods)) resolve();
        };
        catchingUp.add(check);
        signal.addEventListener('abort', () => reject(signal.reason), { once: true });
        check();
      }),
  };
  return {
    view,
    pods,
    state,
    set(podKey: string, value: PodView | undefined) {
      if (value === undefined) pods.delete(podKey);
      else pods.set(podKey, value);
      for (const listener of listeners) listener(podKey);
    },
    advance(version: number) {
      state.version = version;
      for (const check of catchingUp) check();
    },
  };
}
