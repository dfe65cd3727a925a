// The federated identities that pods need, indexed by identity. A pod needs several; on its scope it has one key, so that index is another one
// (desired-state.ts).
import type { Need } from '../../lib/identities/need.ts';
import { areEqualNeeds } from './desired-state.ts';

export interface FederatedNeeds {
  /** Lower-case ARM id. */
  needsOf(identityId: string): Need[];
}

export interface FederatedNeedsIndex extends FederatedNeeds {
  /** Replaces what a pod needs. Returns the ids of the identities for which that is a change. */
  update(podKey: string, needs: readonly Need[]): string[];
  identitiesOfPod(podKey: string): string[];
}

export function createFederatedNeeds(): FederatedNeedsIndex {
  const byIdentity = new Map<string, Map<string, readonly Need[]>>();
  const identitiesByPod = new Map<string, readonly string[]>();

  function set(podKey: string, identityId: string, needs: readonly Need[]): void {
    const byPod = byIdentity.get(identityId) ?? new Map<string, readonly Need[]>();
    if (needs.length === 0) byPod.delete(podKey);
    else byPod.set(podKey, needs);
    if (byPod.size === 0) byIdentity.delete(identityId);
    else byIdentity.set(identityId, byPod);
  }

  return {
    update(podKey, needs) {
      const before = identitiesByPod.get(podKey) ?? [];
      const after = [...new Set(needs.map(({ identityId }) => identityId))];
      const changed: string[] = [];
      for (const id of new Set([...before, ...after])) {
        const own = needs.filter(({ identityId }) => identityId === id);
        if (areEqualNeeds(byIdentity.get(id)?.get(podKey) ?? [], own)) continue;
        set(podKey, id, own);
        changed.push(id);
      }
      if (after.length === 0) identitiesByPod.delete(podKey);
      else identitiesByPod.set(podKey, after);
      return changed;
    },
    needsOf: (identityId) => [...(byIdentity.get(identityId)?.values() ?? [])].flat(),
    identitiesOfPod: (podKey) => [...(identitiesByPod.get(podKey) ?? [])],
  };
}
