// Keeps the match of every labelled pod up to date: one changed object costs the pods it touches, not the cluster.
import { matchingException } from '../../lib/exceptions.ts';
import type { Reflector } from '../../lib/kube/reflector.ts';
import { groupBy } from './group.ts';
import type { Match, MatchRules } from './match.ts';
import { matchPod } from './match.ts';
import type { Binding, Exception, Identity, Pod } from './objects.ts';

export interface MatchSources {
  pods: Reflector<Pod>;
  identities: Reflector<Identity>;
  bindings: Reflector<Binding>;
  exceptions: Reflector<Exception>;
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
  const podsBySelector = groupBy(sources.pods, (pod) => pod.selector);
  const podsByNamespace = groupBy(sources.pods, (pod) => pod.namespace);
  const bindingsBySelector = groupBy(sources.bindings, (binding) => binding.selector);
  const bindingsByIdentity = groupBy(sources.bindings, (binding) => binding.identityKey);
  const exceptionsByNamespace = groupBy(sources.exceptions, (exception) => exception.namespace);
  const listeners = new Set<(podKey: string) => void>();

  const tell = (podKeys: Iterable<string>) => {
    for (const podKey of podKeys) for (const listener of listeners) listener(podKey);
  };

  sources.pods.onChange(({ key }) => tell([key]));
  sources.bindings.onChange(({ before, after }) => {
    for (const selector of new Set([before?.selector, after?.selector])) if (selector !== undefined) tell(podsBySelector(selector));
  });
  sources.identities.onChange(({ key }) => {
    const selectors = new Set(present(bindingsByIdentity(key), sources.bindings).map((binding) => binding.selector));
    for (const selector of selectors) tell(podsBySelector(selector));
  });
  sources.exceptions.onChange(({ before, after }) => tell(podsByNamespace((after ?? before)?.namespace ?? '')));

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

const present = <T>(keys: Iterable<string>, reflector: Reflector<T>): T[] => [...keys].flatMap((key) => reflector.get(key) ?? []);
