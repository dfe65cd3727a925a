// Which identities a pod may use. Pure, and the same in the controller and in the broker.
import type { Binding } from './binding.ts';
import type { Identity } from './identity.ts';
import type { Pod } from './pod.ts';

export interface Match {
  identity: Identity;
  binding: Binding;
}

export interface MatchRules {
  /** Treats every identity as annotated `namespaced`. */
  forceNamespaced: boolean;
  /** Namespaces whose bindings count for pods of other namespaces, in order of preference. Empty: those of all namespaces. */
  bindingNamespaces: readonly string[];
}

/** A pod uses at most so many identities of other namespaces, because anybody who writes bindings in one of them can select the pod. */
export const maxForeignMatches = 32;

export interface PodMatches {
  /** In order of preference. */
  matches: Match[];
  /** Matches that do not count, because the pod has {@link maxForeignMatches} others of other namespaces. */
  overLimit: Match[];
}

/**
 * The identities of a pod. An identity that several bindings give counts once, for the first of them.
 * Two identities of one name in two namespaces are two identities (docs/adr/0019-choice-of-identity-and-waiting.md).
 */
export function matchPod(
  pod: Pod,
  bindings: Iterable<Binding>,
  identityOf: (key: string) => Identity | undefined,
  rules: MatchRules,
): PodMatches {
  const found = new Map<string, Match>();
  for (const binding of bindingsOfPod(pod, bindings, rules)) {
    const identity = identityOf(binding.identityKey);
    if (identity === undefined || found.has(identity.key)) continue;
    if (identity.namespaced && identity.namespace !== pod.namespace) continue;
    found.set(identity.key, { identity, binding });
  }
  const all = [...found.values()];
  const overLimit = new Set(leaveOut(all.filter((match) => isForeign(match, pod))));
  return { matches: all.filter((match) => !overLimit.has(match)), overLimit: [...overLimit] };
}

/**
 * What the limit leaves out. Each namespace in turn gets one more place, so that one namespace cannot take the places of the others: an author
 * makes an old binding select a pod by changing its selector.
 */
function leaveOut(foreign: readonly Match[]): Match[] {
  const counts = new Map<string, number>();
  const turns = foreign.map((match) => {
    const turn = counts.get(match.identity.namespace) ?? 0;
    counts.set(match.identity.namespace, turn + 1);
    return { match, turn };
  });
  return turns
    .toSorted((a, b) => a.turn - b.turn)
    .slice(maxForeignMatches)
    .map(({ match }) => match);
}

/**
 * The bindings that select the pod and count for it, in order of preference: those of the pod's own namespace, then by the order of
 * `bindingNamespaces`, then the older one. So no later binding of another namespace comes before one that is there.
 */
export function bindingsOfPod(pod: Pod, bindings: Iterable<Binding>, { forceNamespaced, bindingNamespaces }: MatchRules): Binding[] {
  if (pod.selector === '') return [];
  const rankOf = ({ namespace }: Binding): number | undefined => {
    if (namespace === pod.namespace) return -1;
    if (forceNamespaced) return undefined;
    if (bindingNamespaces.length === 0) return 0;
    const index = bindingNamespaces.indexOf(namespace);
    return index === -1 ? undefined : index;
  };
  return [...bindings]
    .flatMap((binding) => {
      const rank = binding.selector === pod.selector ? rankOf(binding) : undefined;
      return rank === undefined ? [] : [{ binding, rank }];
    })
    .sort((a, b) => a.rank - b.rank || compareAge(a.binding, b.binding))
    .map(({ binding }) => binding);
}

/** The label has the name of the binding or of its identity in place of the selector, or the selector in another case or with other separators. */
export function isNearMiss({ selector }: Pod, binding: Binding): boolean {
  if (selector === '' || binding.selector === selector) return false;
  const [, identity = ''] = binding.identityKey.split('/');
  return [binding.selector, binding.name, identity].some((text) => plain(text) === plain(selector));
}

const plain = (text: string): string => text.toLowerCase().replace(/[-_.]/g, '');

/** Identity and binding lie in another namespace than the pod. */
export const isForeign = ({ identity }: Match, pod: Pod): boolean => identity.namespace !== pod.namespace;

/** The uid decides between bindings of the same second. */
function compareAge(a: Binding, b: Binding): number {
  const [one, other] = [a.object.metadata, b.object.metadata];
  return compare(one.creationTimestamp, other.creationTimestamp) || compare(one.uid, other.uid);
}

/** Byte order, never the order of a locale. */
function compare(a = '', b = ''): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
