// Informers without an API server: the test puts and removes objects. The indexes over them are real.
import type { Change, Informer } from '../../kube/informer.ts';
import { pods } from '../../kube/resources.ts';
import type { Assignment } from '../assignment.ts';
import type { Binding } from '../binding.ts';
import type { Exception } from '../exceptions.ts';
import type { ListedRecord } from '../federation/records.ts';
import type { Identity } from '../identity.ts';
import type { Informers } from '../informers.ts';
import { indexInformers } from '../informers.ts';
import type { MatchRules } from '../match.ts';
import type { Namespace } from '../namespace.ts';
import type { Node } from '../node.ts';
import type { Pod } from '../pod.ts';
import type { IdentityPolicy } from '../policy.ts';

export interface FakeInformer<T> extends Informer<T> {
  put(key: string, value: T): void;
  remove(key: string): void;
  /** What a bookmark does. */
  advance(): void;
}

export function fakeInformer<T>(): FakeInformer<T> {
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

export type FakeInformers = Informers & {
  pods: FakeInformer<Pod>;
  identities: FakeInformer<Identity>;
  bindings: FakeInformer<Binding>;
  exceptions: FakeInformer<Exception>;
  assignments: FakeInformer<Assignment>;
  nodes: FakeInformer<Node>;
  namespaces: FakeInformer<Namespace>;
  federationRecords: FakeInformer<ListedRecord>;
};

export function fakeInformers(
  rules: MatchRules = { forceNamespaced: false, bindingNamespaces: [] },
  policy?: IdentityPolicy,
): FakeInformers {
  const sources = {
    pods: fakeInformer<Pod>(),
    identities: fakeInformer<Identity>(),
    bindings: fakeInformer<Binding>(),
    exceptions: fakeInformer<Exception>(),
    assignments: fakeInformer<Assignment>(),
    nodes: fakeInformer<Node>(),
    namespaces: fakeInformer<Namespace>(),
    federationRecords: fakeInformer<ListedRecord>(),
  };
  return indexInformers(sources, rules, policy);
}
