// Which identities a pod may use. Pure, and the same in the controller and in the broker.
import type { Binding, Identity, Pod } from './objects.ts';

export interface Match {
  identity: Identity;
  binding: Binding;
}

export interface MatchRules {
  /** Every identity behaves as if annotated `namespaced`. */
  forceNamespaced: boolean;
}

/** Byte order, as upstream sorts; never the locale's. */
const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/**
 * The identities of a pod in order of preference: the pod's own namespace first, then by namespace and name of the binding
 * (docs/adr/0019-choice-of-identity-and-waiting.md). The first of several identities of one name wins, because the name of an AzureAssignedIdentity
 * has the identity's name in it (docs/reference/aad-pod-identity.md#matching).
 */
export function matchPod(
  pod: Pod,
  bindings: Iterable<Binding>,
  identityOf: (key: string) => Identity | undefined,
  rules: MatchRules,
): Match[] {
  if (pod.selector === '') return [];
  const own = (binding: Binding) => (binding.namespace === pod.namespace ? 0 : 1);
  const candidates = [...bindings]
    .filter((binding) => binding.selector === pod.selector && identityOf(binding.identityKey) !== undefined)
    .sort((a, b) => own(a) - own(b) || compare(a.namespace, b.namespace) || compare(a.name, b.name));

  const matches = new Map<string, Match>();
  for (const binding of candidates) {
    const identity = identityOf(binding.identityKey);
    if (identity === undefined || matches.has(identity.name)) continue;
    if ((rules.forceNamespaced || identity.namespaced) && binding.namespace !== pod.namespace) continue;
    matches.set(identity.name, { identity, binding });
  }
  return [...matches.values()];
}
