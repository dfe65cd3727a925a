// Who needs which identity on which ARM scope.

import type { Scope } from '../../lib/azure/resource-ids.ts';
import type { Need } from '../../lib/identities/need.ts';

export interface Demand {
  /** Replaces what a pod needs; tells the ids of the scopes that this touches. */
  set(podKey: string, scope: Scope | undefined, needs: readonly Need[]): string[];
  needsOf(scopeId: string): Need[];
  scopeOf(scopeId: string): Scope | undefined;
  scopeIdOfPod(podKey: string): string | undefined;
}

export function createDemand(): Demand {
  const byScope = new Map<string, { scope: Scope; pods: Map<string, readonly Need[]> }>();
  const scopeByPod = new Map<string, string>();

  return {
    set(podKey, scope, needs) {
      const before = scopeByPod.get(podKey);
      const touched = new Set<string>();
      const known = before === undefined ? undefined : byScope.get(before)?.pods.get(podKey);
      const after = needs.length === 0 ? undefined : scope;
      if (before !== undefined && before !== after?.id) {
        touched.add(before);
        const entry = byScope.get(before);
        entry?.pods.delete(podKey);
        if (entry?.pods.size === 0) byScope.delete(before);
        scopeByPod.delete(podKey);
      }
      if (after !== undefined) {
        if (known === undefined || before !== after.id || !isSame(known, needs)) touched.add(after.id);
        const entry = byScope.get(after.id) ?? { scope: after, pods: new Map() };
        // A copy has no room to grow, which an array that was pushed to keeps.
        entry.pods.set(podKey, [...needs]);
        byScope.set(after.id, entry);
        scopeByPod.set(podKey, after.id);
      }
      return [...touched];
    },
    needsOf: (scopeId) => [...(byScope.get(scopeId)?.pods.values() ?? [])].flat(),
    scopeOf: (scopeId) => byScope.get(scopeId)?.scope,
    scopeIdOfPod: (podKey) => scopeByPod.get(podKey),
  };
}

const isSame = (a: readonly Need[], b: readonly Need[]): boolean =>
  a.length === b.length && a.every((need, index) => need.identityId === b[index]?.identityId && need.pod.uid === b[index]?.pod.uid);
