// Keeps the match of every labelled pod up to date: one changed object costs the pods it touches, not the cluster.

import type { Informer } from '../kube/informer.ts';
import { matchingException } from './exceptions.ts';
import { indexBy } from './index-by.ts';
import type { Match, MatchRules } from './match.ts';
import { matchPod } from './match.ts';
import type { Binding, Exception, Identity, Pod } from './objects.ts';

export interface MatchSources {
  pods: Informer<Pod>;
  identities: Informer<Identity>;
  bindings: Informer<Binding>;
  exceptions: Informer<Exception>;
}

export interface MatchIndex {
  matchesOf(pod: Pod): Match[];
  /** Bindings that select the pod and name an identity that does not exist. */
  danglingOf(pod: Pod): Binding[];
  exceptedNow(pod: Pod): boolean;
  /** Called with the key of a pod whose matches may have changed, or that is gone. */
  onPod(listener: (podKey: string) => void): () => void;
}

export function indexMatches(sources: MatchSources, rules: MatchRules): MatchIndex {
  // The groups listen first, so that they are up to date when the listeners below run.
  const podsBySelector = indexBy(sources.pods, (pod) => pod.selector);
  const podsByNamespace = indexBy(sources.pods, (pod) => pod.namespace);
  const bindingsBySelector = indexBy(sources.bindings, (binding) => binding.selector);
  const bindingsByIdentity = indexBy(sources.bindings, (binding) => binding.identityKey);
  const exceptionsByNamespace = indexBy(sources.exceptions, (exception) => exception.namespace);
  const listeners = new Set<(podKey: string) => void>();

  const notify = (podKeys: Iterable<string>) => {
    for (const podKey of podKeys) for (const listener of listeners) listener(podKey);
  };

  sources.pods.onChange(({ key }) => notify([key]));
  sources.bindings.onChange(({ before, after }) => {
    for (const selector of new Set([before?.selector, after?.selector])) if (selector !== undefined) notify(podsBySelector(selector));
  });
  sources.identities.onChange(({ key }) => {
    const selectors = new Set(present(bindingsByIdentity(key), sources.bindings).map((binding) => binding.selector));
    for (const selector of selectors) notify(podsBySelector(selector));
  });
  sources.exceptions.onChange(({ before, after }) => notify(podsByNamespace((after ?? before)?.namespace ?? '')));

  return {
    matchesOf: (pod) =>
      matchPod(pod, present(bindingsBySelector(pod.selector), sources.bindings), (key) => sources.identities.get(key), rules),
    danglingOf: (pod) =>
      present(bindingsBySelector(pod.selector), sources.bindings).filter(
        (binding) => sources.identities.get(binding.identityKey) === undefined,
      ),
    exceptedNow: (pod) => matchingException(pod.labels, present(exceptionsByNamespace(pod.namespace), sources.exceptions)) !== undefined,
    onPod(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

const present = <T>(keys: Iterable<string>, informer: Informer<T>): T[] => [...keys].flatMap((key) => informer.get(key) ?? []);
