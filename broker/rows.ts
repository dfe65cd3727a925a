// The rows of a pod: the identities that its bindings give it, by the same match as the controller's, with the state that the controller wrote to the
// AzureAssignedIdentities. A federated identity needs the proof of its federation record too.
import type { IdentityRow } from '../api/broker.ts';
import { annotations } from '../api/names.ts';
import type { Assignment } from '../lib/identities/assignment.ts';
import { belongsTo } from '../lib/identities/assignment.ts';
import type { AssignmentModeRules } from '../lib/identities/federation/assignment-mode.ts';
import { assignmentModeOf, isFederated } from '../lib/identities/federation/assignment-mode.ts';
import type { FederationRecords } from '../lib/identities/federation/records.ts';
import type { Identity } from '../lib/identities/identity.ts';
import { indexBy } from '../lib/identities/index-by.ts';
import type { IdentityInformers } from '../lib/identities/informers.ts';
import type { Match } from '../lib/identities/match.ts';
import type { Pod } from '../lib/identities/pod.ts';
import { notAllowedMessage } from '../lib/identities/policy.ts';
import type { PolicyCheck } from '../lib/identities/policy-check.ts';
import { isTerminal, reasonWithMessage } from '../lib/identities/reasons.ts';
import type { Informer } from '../lib/kube/informer.ts';
import { isNewer } from '../lib/kube/informer.ts';
import { problemOfClaims } from './federation/claims.ts';

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
  /** Plural names of the kinds whose first list is not in yet, or which the API server does not serve any more. */
  waitingFor(): string[];
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
  /** How identities of type 0 are assigned. */
  modes: AssignmentModeRules;
  /** What identityPolicy says now. */
  isAllowed: PolicyCheck;
  /** The same in managed mode of a federated identity, whose ids are what its author says. */
  isAllowedAsClaimed: PolicyCheck;
}

/** With the federation records. */
type Judges = RowRules & { records: FederationRecords };

export function createRowSource(informers: IdentityInformers, given: RowRules): RowSource {
  const { pods, identities, bindings, exceptions, assignments, namespaces, federationRecords, federation: records } = informers;
  const rules: Judges = { ...given, records };
  const { runtimeExceptions } = given;
  const watched = {
    ...(namespaces === undefined ? {} : { namespaces }),
    ...(federationRecords === undefined ? {} : { federationRecords }),
  };
  const kinds: Record<string, Informer<unknown>> = { pods, identities, bindings, exceptions, assignments, ...watched };
  const assignmentsByIdentityId = indexBy(
    assignments,
    ({ references }) => references.identity?.spec?.resourceID?.trim().toLowerCase() ?? '',
  );
  const podsOf = (identityId: string) =>
    new Set([...assignmentsByIdentityId(identityId)].flatMap((key) => assignments.get(key)?.podKey ?? []));
  const isBehind = (versions: CacheVersions) =>
    Object.entries(versions).some(([kind, version]) => isOlder(kinds[kind]?.resourceVersion, version));

  return {
    get synced() {
      return informers.synced;
    },
    waitingFor: () => informers.waitingFor(),

    get(podKey) {
      const pod = pods.get(podKey);
      if (pod === undefined || pod.finished) return undefined;
      const { matches } = informers;
      const own = informers.assignmentsOf(podKey).filter((assignment) => belongsTo(assignment, pod));
      return {
        uid: pod.uid,
        excepted: runtimeExceptions === 'allow' && matches.isExcepted(pod),
        // A kubelet makes its mirror pods itself, in any namespace and with any label.
        identities: (pod.mirror ? [] : matches.matchesOf(pod)).flatMap((match) => rowOf(pod, match, { assignments: own, rules }) ?? []),
        ...(pod.defaultIdentity === undefined ? {} : { defaultIdentity: pod.defaultIdentity }),
      };
    },

    onChange(listener) {
      const off = [
        informers.matches.onChange(listener),
        assignments.onChange(({ before, after }) => {
          for (const podKey of new Set([before?.podKey, after?.podKey])) if (podKey !== undefined) listener(podKey);
        }),
        // A pod without an AzureAssignedIdentity has no row that a record could change.
        records.onChange((identityId) => {
          for (const podKey of podsOf(identityId)) listener(podKey);
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
  rules: Judges;
}

type Row = Omit<IdentityRow, 'state'>;

/** Undefined for an identity of an unknown type. */
function rowOf(pod: Pod, match: Match, { assignments, rules }: RowFacts): IdentityRow | undefined {
  const { identity } = match;
  const row = pendingRowOf(match, rules);
  if (row === undefined) return undefined;
  if (!rules.isAllowed(identity))
    return { ...row, state: 'Failed', reason: reasonWithMessage('IdentityNotAllowed', notAllowedMessage(identity)) };
  if (rules.managed) return { ...row, ...managedState(row, identity, rules) };

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
  return assignedRowOf(row, identity, assignment, rules);
}

/** As the AzureIdentity says; it is not assigned yet. */
function pendingRowOf({ identity, binding }: Match, rules: Judges): Row | undefined {
  if (identity.type === undefined) return undefined;
  const row: Row = {
    name: identity.name,
    namespace: identity.namespace,
    binding: binding.key,
    type: identity.type,
    source: 'broker',
    clientID: identity.clientID,
    resourceID: identity.type === 0 ? identity.resourceID : '',
    ...(identity.tenantID === '' ? {} : { tenantID: identity.tenantID }),
    ...(identity.auxiliaryTenantIDs.length === 0 ? {} : { auxiliaryTenantIDs: identity.auxiliaryTenantIDs }),
  };
  const isAttached = assignmentModeOf(identity, rules.modes) === 'attach';
  return isAttached ? { ...row, source: 'imds' } : federatedRowOf(row, identity, rules);
}

/** With the ids that Azure reported: sidecars drop the tokens of a row whose ids change, and it must not lose them when a credential vanishes. */
function federatedRowOf(row: Row, { identityId }: Identity, { records }: Judges): Row {
  const record = identityId === undefined ? undefined : records.of(identityId);
  return { ...row, source: 'broker', ...(record === undefined ? {} : { clientID: record.clientId, objectID: record.objectId }) };
}

/** Where its AzureAssignedIdentity says that it is, whatever the AzureIdentity says by now: it moves when the other side is ready. */
function assignedRowOf(row: Row, identity: Identity, assignment: Assignment, rules: Judges): IdentityRow {
  const written = assignment.metadata.annotations ?? {};
  const assignedAt = written[annotations.assignedAt];
  const times = assignedAt === undefined ? {} : { assignedAt };
  if (identity.identityId !== undefined && isFederated(assignment, identity.identityId)) {
    const federated = federatedRowOf(row, identity, rules);
    // Whoever may write AzureAssignedIdentities could forge one.
    if (rules.records.of(identity.identityId)?.provenAt === undefined)
      return { ...federated, state: 'Created', reason: 'the controller has not proven its federated credential yet' };
    return { ...federated, state: 'Assigned', ...times };
  }
  const clientID = written[annotations.clientId];
  const objectID = written[annotations.objectId];
  return {
    ...row,
    ...(identity.type === 0 ? { source: 'imds' } : {}),
    state: 'Assigned',
    ...(clientID === undefined ? {} : { clientID }),
    ...(objectID === undefined ? {} : { objectID }),
    ...times,
  };
}

function managedState({ source }: Pick<IdentityRow, 'source'>, identity: Identity, rules: Judges): Pick<IdentityRow, 'state' | 'reason'> {
  if (identity.type !== 0 || source === 'imds') return { state: 'Assigned' };
  const problem = problemOfClaims(identity, rules.isAllowedAsClaimed);
  return problem === undefined ? { state: 'Assigned' } : { state: 'Failed', reason: reasonWithMessage(problem.reason, problem.message) };
}
