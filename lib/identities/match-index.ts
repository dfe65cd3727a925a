// Finds the identities of a pod through indexes. A changed object costs time for the pods that it may match, not for all pods of the cluster.
import { isDeepStrictEqual } from 'node:util';
import type { Informer } from '../kube/informer.ts';
import type { Binding } from './binding.ts';
import type { Exception } from './exceptions.ts';
import { matchingException } from './exceptions.ts';
import type { FederationRecords } from './federation/records.ts';
import type { Identity } from './identity.ts';
import { indexBy } from './index-by.ts';
import type { Match, MatchRules, PodMatches } from './match.ts';
import { bindingsOfPod, isNearMiss, matchPod } from './match.ts';
import type { Namespace } from './namespace.ts';
import type { Pod } from './pod.ts';
import type { IdentityPolicy } from './policy.ts';
import type { PolicyCheck } from './policy-check.ts';
import { createPolicyCheck } from './policy-check.ts';

export interface MatchSources {
  pods: Informer<Pod>;
  identities: Informer<Identity>;
  bindings: Informer<Binding>;
  exceptions: Informer<Exception>;
  /** Only where the policy selects namespaces by their labels. */
  namespaces?: Informer<Namespace>;
  federation: FederationRecords;
}

export interface MatchIndex {
  /** In order of preference. */
  matchesOf(pod: Pod): Match[];
  /** Matches beyond the limit for identities of other namespaces. */
  overLimitOf(pod: Pod): Match[];
  /** Bindings that count for the pod and name an identity that does not exist, in order of preference. */
  danglingOf(pod: Pod): Binding[];
  /** A binding of the pod's own namespace that does not select it, and that its label may mean. */
  nearMissOf(pod: Pod): Binding | undefined;
  /** The AzurePodIdentityException that applies to the pod. */
  exceptionOf(pod: Pod): Exception | undefined;
  isExcepted(pod: Pod): boolean;
  /** What identityPolicy says now. An identity that it refuses stays among the matches. */
  isAllowed: PolicyCheck;
  /** Calls with the key of each pod that changed, or whose matches may have changed. The returned function unsubscribes. */
  onChange(listener: (podKey: string) => void): () => void;
}

export function indexMatches(sources: MatchSources, rules: MatchRules, policy?: IdentityPolicy): MatchIndex {
  // The indexes subscribe first, so that they are up to date when the listeners below run.
  const podsBySelector = indexBy(sources.pods, (pod) => pod.selector);
  const podsByNamespace = indexBy(sources.pods, (pod) => pod.namespace);
  const bindingsBySelector = indexBy(sources.bindings, (binding) => binding.selector);
  const bindingsByIdentity = indexBy(sources.bindings, (binding) => binding.identityKey);
  const bindingsByNamespace = indexBy(sources.bindings, (binding) => binding.namespace);
  const exceptionsByNamespace = indexBy(sources.exceptions, (exception) => exception.namespace);
  const listeners = new Set<(podKey: string) => void>();

  const bindingsWithSelectorOf = (pod: Pod): Binding[] => present(bindingsBySelector(pod.selector), sources.bindings);
  const exceptionOf = (pod: Pod) => matchingException(pod.labels, present(exceptionsByNamespace(pod.namespace), sources.exceptions));
  const match = (pod: Pod): PodMatches => matchPod(pod, bindingsWithSelectorOf(pod), (key) => sources.identities.get(key), rules);

  const notify = (podKeys: Iterable<string>) => {
    for (const podKey of podKeys) for (const listener of listeners) listener(podKey);
  };

  sources.pods.onChange(({ key }) => notify([key]));
  sources.bindings.onChange(({ before, after }) => {
    for (const selector of new Set([before?.selector, after?.selector])) if (selector !== undefined) notify(podsBySelector(selector));
  });
  const notifyOfIdentity = (key: string) => {
    const selectors = new Set(present(bindingsByIdentity(key), sources.bindings).map((binding) => binding.selector));
    for (const selector of selectors) notify(podsBySelector(selector));
  };
  sources.identities.onChange(({ key }) => notifyOfIdentity(key));
  sources.exceptions.onChange(({ before, after }) => notify(podsByNamespace((after ?? before)?.namespace ?? '')));
  if (sources.namespaces !== undefined) notifyOfLabels(sources.namespaces);
  sources.federation.informer?.onChange(({ before, after }) => {
    // Whether an identity of type 3 is allowed depends on the managed identities that its client id belongs to.
    if (before?.clientId === after?.clientId && before?.identity === after?.identity) return;
    const clientIds = [before, after].map((record) => record?.clientId.toLowerCase());
    for (const { key, type, clientID } of sources.identities.values())
      if (type === 3 && clientIds.includes(clientID.toLowerCase())) notifyOfIdentity(key);
  });

  /** A binding names an AzureIdentity of its own namespace, so these are all pods that have one of the namespace. */
  function notifyOfLabels(namespaces: Informer<Namespace>): void {
    namespaces.onChange(({ key, before, after }) => {
      if (isDeepStrictEqual(before?.labels, after?.labels)) return;
      const selectors = new Set(present(bindingsByNamespace(key), sources.bindings).map((binding) => binding.selector));
      for (const selector of selectors) notify(podsBySelector(selector));
    });
  }

  return {
    matchesOf: (pod) => match(pod).matches,
    overLimitOf: (pod) => match(pod).overLimit,
    danglingOf: (pod) =>
      bindingsOfPod(pod, bindingsWithSelectorOf(pod), rules).filter(({ identityKey }) => sources.identities.get(identityKey) === undefined),
    nearMissOf: (pod) => present(bindingsByNamespace(pod.namespace), sources.bindings).find((binding) => isNearMiss(pod, binding)),
    exceptionOf,
    isExcepted: (pod) => exceptionOf(pod) !== undefined,
    isAllowed: createPolicyCheck(policy, sources.namespaces, sources.federation.identityIdsOf),
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

const present = <T>(keys: Iterable<string>, informer: Informer<T>): T[] => [...keys].flatMap((key) => informer.get(key) ?? []);
