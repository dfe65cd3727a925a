// The identities that pods need, indexed by scope.
import type { Scope } from '../../lib/azure/resource-ids.ts';
import type { Need } from '../../lib/identities/need.ts';

/** What the scopes read. */
export interface DesiredState {
  needsOf(scopeId: string): Need[];
  /** Undefined for a scope that no pod needs. */
  scopeOf(scopeId: string): Scope | undefined;
}

export interface DesiredStateIndex extends DesiredState {
  /** Replaces what a pod needs. Returns the ids of the scopes for which that is a change. */
  update(podKey: string, scope: Scope | undefined, needs: readonly Need[]): string[];
  /** Undefined for a pod that needs nothing. */
  scopeIdOfPod(podKey: string): string | undefined;
}

export function createDesiredState(): DesiredStateIndex {
  const byScope = new Map<string, { scope: Scope; needsByPod: Map<string, readonly Need[]> }>();
  const scopeIdByPod = new Map<string, string>();

  function remove(podKey: string, scopeId: string): void {
    scopeIdByPod.delete(podKey);
    const entry = byScope.get(scopeId);
    entry?.needsByPod.delete(podKey);
    if (entry?.needsByPod.size === 0) byScope.delete(scopeId);
  }

  function set(podKey: string, scope: Scope, needs: readonly Need[]): void {
    scopeIdByPod.set(podKey, scope.id);
    const entry = byScope.get(scope.id) ?? { scope, needsByPod: new Map() };
    // An array that was pushed to keeps room to grow; a copy has none.
    entry.needsByPod.set(podKey, [...needs]);
    byScope.set(scope.id, entry);
  }

  return {
    update(podKey, scope, needs) {
      const before = scopeIdByPod.get(podKey);
      const known = byScope.get(before ?? '')?.needsByPod.get(podKey) ?? [];
      const after = needs.length === 0 ? undefined : scope;
      if (before !== undefined && before !== after?.id) remove(podKey, before);
      if (after !== undefined) set(podKey, after, needs);
      if (before === after?.id && areEqualNeeds(known, needs)) return [];
      return [...new Set([before, after?.id].flatMap((id) => id ?? []))];
    },
    needsOf: (scopeId) => [...(byScope.get(scopeId)?.needsByPod.values() ?? [])].flat(),
    scopeOf: (scopeId) => byScope.get(scopeId)?.scope,
    scopeIdOfPod: (podKey) => scopeIdByPod.get(podKey),
  };
}

export const areEqualNeeds = (a: readonly Need[], b: readonly Need[]): boolean =>
  a.length === b.length && a.every((need, i) => isEqual(need, b[i]));

/** Any change of the AzureIdentity counts: it lifts the back-off of the identity. */
const isEqual = (a: Need, b: Need | undefined): boolean =>
  a.identityId === b?.identityId && a.keepOnly === b.keepOnly && a.pod.uid === b.pod.uid && versionOf(a) === versionOf(b);

const versionOf = ({ match }: Need): string | undefined => match.identity.object.metadata.resourceVersion;
