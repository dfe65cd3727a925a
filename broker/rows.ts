// The rows of a pod: the identities that its bindings give it, by the same match as the controller's, with the state that the controller wrote to the
// AzureAssignedIdentities.
import type { IdentityRow } from '../api/broker.ts';
import { annotations } from '../api/names.ts';
import type { Assignment } from '../lib/identities/assignment.ts';
import { belongsTo } from '../lib/identities/assignment.ts';
import type { IdentityInformers } from '../lib/identities/informers.ts';
import type { Match } from '../lib/identities/match.ts';
import type { Pod } from '../lib/identities/pod.ts';
import { notAllowedMessage } from '../lib/identities/policy.ts';
import { isTerminal, reasonWithMessage } from '../lib/identities/reasons.ts';
import type { Informer } from '../lib/kube/informer.ts';
import { isNewer } from '../lib/kube/informer.ts';

export interface PodRows {
  uid: string;
  /** The pod matches an AzurePodIdentityException at this moment, and that counts for running pods. */
  excepted: boolean;
  /** In order of preference. */
  identities: IdentityRow[];
  /** `name` or `namespace/name` of the identity that answers requests which name none, from the pod's annotation. */
  defaultIdentity?: string;
}

/** Per kind, the resourceVersion that a replica's caches have reached. */
export type CacheVersions = Readonly<Record<string, string>>;

export interface RowSource {
  /** Every cache has its first list; before that nothing else here may be trusted. */
  readonly synced: boolean;
  /** By `namespace/name`; undefined for a pod that is not in the caches: gone, finished, without the label, or not there yet. */
  get(podKey: string): PodRows | undefined;
  /** Called after the rows of a pod may have changed; the returned function unsubscribes. */
  onChange(listener: (podKey: string) => void): () => void;
  versions(): CacheVersions;
  /** Resolves once the caches have reached these versions, ignoring kinds that this replica does not know; rejects when the signal aborts first. */
  whenReached(versions: CacheVersions, signal: AbortSignal): Promise<void>;
}

export interface RowRules {
  /** Somebody else attaches the identities, so every row is Assigned. */
  managed: boolean;
  /** With `deny` no pod passes through its proxy: a pod that asks here was injected, so it was not excepted when it was created. */
  runtimeExceptions: 'allow' | 'deny';
}

export function createRowSource(informers: IdentityInformers, { managed, runtimeExceptions }: RowRules): RowSource {
  const { pods, identities, bindings, exceptions, assignments, namespaces } = informers;
  const watched = namespaces === undefined ? {} : { namespaces };
  const kinds: Record<string, Informer<unknown>> = { pods, identities, bindings, exceptions, assignments, ...watched };
  const isBehind = (versions: CacheVersions) =>
    Object.entries(versions).some(([kind, version]) => isOlder(kinds[kind]?.resourceVersion, version));

  return {
    get synced() {
      return informers.synced;
    },

    get(podKey) {
      const pod = pods.get(podKey);
      if (pod === undefined || pod.finished) return undefined;
      const { matches } = informers;
      const own = informers.assignmentsOf(podKey).filter((assignment) => belongsTo(assignment, pod));
      return {
        uid: pod.uid,
        excepted: runtimeExceptions === 'allow' && matches.isExcepted(pod),
        // A kubelet makes its mirror pods itself, in any namespace and with any label.
        identities: (pod.mirror ? [] : matches.matchesOf(pod)).flatMap(
          (match) => rowOf(pod, match, { assignments: own, managed, allowed: matches.isAllowed(match.identity) }) ?? [],
        ),
        ...(pod.defaultIdentity === undefined ? {} : { defaultIdentity: pod.defaultIdentity }),
      };
    },

    onChange(listener) {
      const off = [
        informers.matches.onChange(listener),
        assignments.onChange(({ before, after }) => {
          for (const podKey of new Set([before?.podKey, after?.podKey])) if (podKey !== undefined) listener(podKey);
        }),
      ];
      return () => {
        for (const each of off) each();
      };
    },

    versions: () => Object.fromEntries(Object.entries(kinds).map(([kind, informer]) => [kind, informer.changeVersion])),

    async whenReached(versions, signal) {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const check = () => {
        if (!isBehind(versions)) resolve();
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

/** A text that is no resource version holds nothing back, and a kind that this replica does not know cannot be behind. */
function isOlder(mine: string | undefined, theirs: string): boolean {
  if (mine === undefined || !/^\d+$/.test(theirs)) return false;
  return !/^\d+$/.test(mine) || isNewer(theirs, mine);
}

interface RowFacts {
  /** Of the pod. */
  assignments: readonly Assignment[];
  managed: boolean;
  /** identityPolicy allows the identity. */
  allowed: boolean;
}

/** Undefined for an identity of an unknown type. */
function rowOf(pod: Pod, match: Match, { assignments, managed, allowed }: RowFacts): IdentityRow | undefined {
  const { identity, binding } = match;
  if (identity.type === undefined) return undefined;
  const row: Omit<IdentityRow, 'state'> = {
    name: identity.name,
    namespace: identity.namespace,
    binding: binding.key,
    type: identity.type,
    source: identity.type === 0 ? 'imds' : 'broker',
    clientID: identity.clientID,
    resourceID: identity.type === 0 ? identity.resourceID : '',
    ...(identity.tenantID === '' ? {} : { tenantID: identity.tenantID }),
    ...(identity.auxiliaryTenantIDs.length === 0 ? {} : { auxiliaryTenantIDs: identity.auxiliaryTenantIDs }),
  };
  if (!allowed) return { ...row, state: 'Failed', reason: reasonWithMessage('IdentityNotAllowed', notAllowedMessage(identity)) };
  if (managed) return { ...row, state: 'Assigned' };

  const assignment = assignments.find((candidate) => candidate.identityKey === identity.key);
  if (assignment === undefined) {
    const waitsFor = pod.node === '' ? 'the pod has no node yet' : 'the controller has not written its AzureAssignedIdentity yet';
    return { ...row, state: 'Created', reason: waitsFor };
  }
  const written = assignment.metadata.annotations ?? {};
  // The object may still be about the resource that the AzureIdentity named before somebody edited it.
  const sameIdentity = (assignment.references.identity?.spec?.resourceID ?? '').toLowerCase() === identity.resourceID.toLowerCase();
  if (assignment.status !== 'Assigned' || !sameIdentity) {
    const why = [written[annotations.reason], written[annotations.message]].filter((part) => part !== undefined).join(': ');
    return { ...row, state: isTerminal(written[annotations.reason]) ? 'Failed' : 'Created', ...(why === '' ? {} : { reason: why }) };
  }
  const clientID = written[annotations.clientId];
  const objectID = written[annotations.objectId];
  const assignedAt = written[annotations.assignedAt];
  return {
    ...row,
    state: 'Assigned',
    ...(clientID === undefined ? {} : { clientID }),
    ...(objectID === undefined ? {} : { objectID }),
    ...(assignedAt === undefined ? {} : { assignedAt }),
  };
}
