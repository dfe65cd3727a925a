// What the broker tells a pod: the leader's own match, run on this replica's caches, with the state that the leader wrote on the objects.

import type { IdentityRow } from '../api/broker.ts';
import { annotations } from '../api/names.ts';
import type { Informers } from '../lib/identities/informers.ts';
import type { Match } from '../lib/identities/match.ts';
import type { Assignment, Pod } from '../lib/identities/objects.ts';
import { belongsTo } from '../lib/identities/objects.ts';
import { isTerminal } from '../lib/identities/reasons.ts';
import type { Informer } from '../lib/kube/informer.ts';
import { isNewer } from '../lib/kube/informer.ts';
import type { BrokerView, PodView, Seen } from './view.ts';

export function brokerView(informers: Informers, options: { managed: boolean }): BrokerView {
  const kinds: Record<string, Informer<unknown>> = {
    pods: informers.pods,
    identities: informers.identities,
    bindings: informers.bindings,
    exceptions: informers.exceptions,
    assignments: informers.assignments,
  };
  const isBehind = (seen: Seen) => Object.entries(seen).some(([kind, version]) => isOlder(kinds[kind]?.resourceVersion, version));

  return {
    get synced() {
      return informers.synced;
    },

    rowsFor(podKey): PodView | undefined {
      const pod = informers.pods.get(podKey);
      if (pod === undefined || pod.finished) return undefined;
      const assignments = informers.assignmentsOf(podKey).filter((assignment) => belongsTo(assignment, pod));
      return {
        uid: pod.uid,
        excepted: informers.matches.exceptedNow(pod),
        identities: informers.matches.matchesOf(pod).flatMap((match) => rowOf(pod, match, assignments, options.managed) ?? []),
        ...(pod.defaultIdentity === undefined ? {} : { defaultIdentity: pod.defaultIdentity }),
      };
    },

    onChange(listener) {
      const off = [
        informers.matches.onPod(listener),
        informers.assignments.onChange(({ before, after }) => {
          for (const podKey of new Set([before?.podKey, after?.podKey])) if (podKey !== undefined) listener(podKey);
        }),
      ];
      return () => {
        for (const each of off) each();
      };
    },

    seen: () => Object.fromEntries(Object.entries(kinds).map(([kind, informer]) => [kind, informer.changeVersion])),

    async whenSeen(seen, signal) {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const check = () => {
        if (!isBehind(seen)) resolve();
      };
      const abort = () => reject(signal.reason);
      const off = Object.values(kinds).map((informer) => informer.onAdvance(check));
      signal.addEventListener('abort', abort, { once: true });
      check();
      if (signal.aborted) abort();
      try {
        await promise;
      } finally {
        for (const each of off) each();
        signal.removeEventListener('abort', abort);
      }
    },
  };
}

/** What is no resource version holds nothing back, and a kind that this replica does not know cannot be behind. */
function isOlder(mine: string | undefined, theirs: string): boolean {
  if (mine === undefined || !/^\d+$/.test(theirs)) return false;
  return !/^\d+$/.test(mine) || isNewer(theirs, mine);
}

/** Undefined for an identity of a type nobody knows. */
function rowOf(pod: Pod, match: Match, assignments: readonly Assignment[], managed: boolean): IdentityRow | undefined {
  const { identity, binding } = match;
  if (identity.type === undefined) return undefined;
  const row = {
    name: identity.name,
    namespace: identity.namespace,
    binding: binding.key,
    type: identity.type,
    clientID: identity.clientID,
    resourceID: identity.type === 0 ? identity.resourceID : '',
    ...(identity.tenantID === '' ? {} : { tenantID: identity.tenantID }),
    ...(identity.auxiliaryTenantIDs.length === 0 ? {} : { auxiliaryTenantIDs: identity.auxiliaryTenantIDs }),
  };
  if (managed) return { ...row, state: 'Assigned' };

  const assignment = assignments.find((candidate) => candidate.identityKey === identity.key);
  if (assignment === undefined) {
    const waitsFor = pod.node === '' ? 'the pod has no node yet' : 'the controller has not written its AzureAssignedIdentity yet';
    return { ...row, state: 'Created', reason: waitsFor };
  }
  const noted = assignment.metadata.annotations ?? {};
  // The object may still stand for what the identity was before it was changed in place.
  const sameIdentity = (assignment.references.identity?.spec?.resourceID ?? '').toLowerCase() === identity.resourceID.toLowerCase();
  if (assignment.status !== 'Assigned' || !sameIdentity) {
    const why = [noted[annotations.reason], noted[annotations.message]].filter((part) => part !== undefined).join(': ');
    return { ...row, state: isTerminal(noted[annotations.reason]) ? 'Failed' : 'Created', ...(why === '' ? {} : { reason: why }) };
  }
  const clientID = noted[annotations.clientId];
  const objectID = noted[annotations.objectId];
  const assignedAt = noted[annotations.assignedAt];
  return {
    ...row,
    state: 'Assigned',
    ...(clientID === undefined ? {} : { clientID }),
    ...(objectID === undefined ? {} : { objectID }),
    ...(assignedAt === undefined ? {} : { assignedAt }),
  };
}
