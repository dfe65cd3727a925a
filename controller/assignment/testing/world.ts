// A world without an API server: objects are put and removed by the test, everything above the reflectors is real.
import type { Change, Reflector } from '../../../lib/kube/reflector.ts';
import { pods } from '../../../lib/kube/resources.ts';
import type { MatchRules } from '../match.ts';
import type { Assignment, Binding, Exception, Identity, Node, Pod } from '../objects.ts';
import type { World } from '../world.ts';
import { indexWorld } from '../world.ts';

export interface FakeReflector<T> extends Reflector<T> {
  put(key: string, value: T): void;
  remove(key: string): void;
  /** What a bookmark does. */
  advance(): void;
}

function fakeReflector<T>(): FakeReflector<T> {
  const copy = new Map<string, T>();
  const listeners = new Set<(change: Change<T>) => void>();
  const advanceListeners = new Set<() => void>();
  let version = 1;
  const change = (key: string, after: T | undefined) => {
    const before = copy.get(key);
    if (after === undefined) copy.delete(key);
    else copy.set(key, after);
    for (const listener of listeners) listener({ key, before, after });
    advance();
  };
  const advance = () => {
    version += 1;
    for (const listener of advanceListeners) listener();
  };
  return {
    resource: pods,
    synced: true,
    get resourceVersion() {
      return String(version);
    },
    get changeVersion() {
      return String(version);
    },
    whenSynced: async () => undefined,
    get: (key) => copy.get(key),
    values: () => copy.values(),
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    onAdvance(listener) {
      advanceListeners.add(listener);
      return () => advanceListeners.delete(listener);
    },
    stop: async () => undefined,
    put: change,
    remove: (key) => change(key, undefined),
    advance,
  };
}

export type FakeWorld = World & {
  pods: FakeReflector<Pod>;
  identities: FakeReflector<Identity>;
  bindings: FakeReflector<Binding>;
  exceptions: FakeReflector<Exception>;
  assignments: FakeReflector<Assignment>;
  nodes: FakeReflector<Node>;
};

export function fakeWorld(rules: MatchRules = { forceNamespaced: false }): FakeWorld {
  const sources = {
    pods: fakeReflector<Pod>(),
    identities: fakeReflector<Identity>(),
    bindings: fakeReflector<Binding>(),
    exceptions: fakeReflector<Exception>(),
    assignments: fakeReflector<Assignment>(),
    nodes: fakeReflector<Node>(),
  };
  return { ...indexWorld(sources, rules), ...sources };
}
