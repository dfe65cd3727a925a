// The reconciler of federated identities over fakes: what Azure has, the broker's answers, the record and the objects.
import type { FederationProofResponse, FederationResponse } from '../../../api/federation.ts';
import { createFakeClock } from '../../../common/testing/fake-clock.ts';
import type { FederationRecord } from '../../../lib/identities/federation/record.ts';
import type { Need } from '../../../lib/identities/need.ts';
import { fakeEvents } from '../../../lib/identities/testing/events.ts';
import { binding, identity, pod } from '../../../lib/identities/testing/fixtures.ts';
import { KubeError } from '../../../lib/kube/errors.ts';
import { silentLogger } from '../../../lib/log.ts';
import type { FederatedCredential, FederatedCredentials } from '../../azure/arm/federated-credentials.ts';
import { FederationError } from '../../azure/arm/federated-credentials.ts';
import type { FederationRefusalCode } from '../../azure/arm/federation-refusals.ts';
import { credentialLimit } from '../../azure/arm/federation-refusals.ts';
import { fakeObjects } from '../../testing/objects.ts';
import type { FederationBroker } from '../proof-client.ts';
import type { FederationReconcilerOptions } from '../reconciler.ts';
import { createFederationReconciler } from '../reconciler.ts';
import type { RecordStore, StoredRecord } from '../record-store.ts';

export const identityId = '/subscriptions/s/resourcegroups/g/providers/microsoft.managedidentity/userassignedidentities/green';
export const trust: FederationResponse = {
  issuer: 'https://issuer.example.com/cluster/',
  subject: 'system:serviceaccount:release:aad-pod-identity-broker',
  audience: 'api://AzureADTokenExchange',
};
/** Of {@link trust}. */
export const ownName = 'aad-pod-identity-4316fd3f18';
export const day = 86_400_000;

export const credentialOf = (name: string, changes: Partial<FederatedCredential> = {}): FederatedCredential => ({
  name,
  issuer: trust.issuer,
  subject: trust.subject,
  audiences: [trust.audience],
  ...changes,
});

export const foreignCredential = (name: string): FederatedCredential => credentialOf(name, { subject: `repo:org/${name}` });

export function needOf(podName: string): Need {
  return {
    pod: pod({ key: `app/${podName}`, name: podName, uid: `uid-${podName}` }),
    match: { identity: identity('app/green', { clientID: '' }), binding: binding('app/b', 'green') },
    identityId,
  };
}

export const refused = (code: FederationRefusalCode, about: { retryAfterSeconds?: number; action?: string } = {}) =>
  new FederationError(code, `Azure says ${code}`, about);

function fakeAzure() {
  const list = new Map<string, FederatedCredential>();
  const calls: string[] = [];
  /** Thrown by the next call of the kind. */
  const failures: Partial<Record<'read' | 'put' | 'remove', unknown>>[] = [];
  const call = (kind: 'read' | 'put' | 'remove', text: string): void => {
    calls.push(text);
    const failure = failures[0]?.[kind];
    if (failure === undefined) return;
    failures.shift();
    throw failure;
  };
  const fake = {
    ids: { clientId: 'client', tenantId: 'tenant', principalId: 'object' },
    list,
    failures,
    /** Calls since the last time. */
    calls: () => calls.splice(0),
    names: () => [...list.keys()].sort(),
    add: (...credentials: FederatedCredential[]) => {
      for (const credential of credentials) list.set(credential.name, credential);
    },
  };
  const credentials: FederatedCredentials = {
    async getIdentity() {
      call('read', 'read');
      return fake.ids;
    },
    async list() {
      calls.push('list');
      return [...list.values()];
    },
    async put(_identity, name, content) {
      call('put', `put ${name}`);
      if (!list.has(name) && list.size >= credentialLimit) throw refused('limitReached');
      list.set(name, { name, ...content });
    },
    async remove(_identity, name) {
      call('remove', `remove ${name}`);
      list.delete(name);
    },
  };
  return { fake, credentials };
}

function fakeRecord() {
  let record: FederationRecord | undefined;
  let version = 0;
  /** Thrown by the save after so many others: the leader is killed. */
  let dieAfter = Number.POSITIVE_INFINITY;
  const stored = (): StoredRecord => ({ record, resourceVersion: record === undefined ? undefined : String(version) });
  const write = (before: StoredRecord, next: FederationRecord | undefined): void => {
    if (before.resourceVersion !== stored().resourceVersion) throw new KubeError(409, 'Conflict', 'written over a newer record');
    if (dieAfter-- <= 0) throw new Error('killed');
    record = next;
    version += 1;
  };
  const store: RecordStore = {
    load: stored,
    async save(before, next) {
      write(before, next);
      return stored();
    },
    remove: async (_id, before) => write(before, undefined),
  };
  return {
    store,
    get: () => record,
    set: (next: FederationRecord | undefined) => {
      record = next;
      version += 1;
    },
    dieAfter: (saves: number) => {
      dieAfter = saves;
    },
  };
}

/** `live`: needs that pods have, which a test may change. */
export function harness(needs: Need[] = [needOf('web')], changes: Partial<FederationReconcilerOptions> = {}) {
  const clock = createFakeClock();
  const { fake: azure, credentials } = fakeAzure();
  const record = fakeRecord();
  const objects = fakeObjects(needs);
  const { events, list } = fakeEvents();
  const live = [...needs];
  const proofs: FederationProofResponse[] = [];
  let proved = 0;
  const broker = {
    trust: { ...trust },
    fails: undefined as unknown,
    /** Answers in this order, then `proven`. */
    proofs,
    get proved() {
      return proved;
    },
  };
  const fakeBroker: FederationBroker = {
    async trust() {
      if (broker.fails !== undefined) throw broker.fails;
      return broker.trust;
    },
    async prove() {
      proved += 1;
      return proofs.shift() ?? { outcome: 'proven' };
    },
  };
  const turns: string[] = [];
  const options: FederationReconcilerOptions = {
    needsOf: () => live,
    assignmentOf: objects.assignmentOf,
    statuses: objects.statuses,
    credentials,
    broker: fakeBroker,
    store: record.store,
    events,
    log: silentLogger,
    clock,
    random: () => 0.5,
    mayWrite: () => true,
    manageCredentials: true,
    detachDelayMs: day,
    proofResource: 'https://management.azure.com',
    onTurn: (identity) => turns.push(identity),
    ...changes,
  };
  let reconciler = createFederationReconciler(options);
  return {
    azure,
    broker,
    record,
    objects,
    events: list,
    clock,
    live,
    /** Identities that got a turn after a wait. */
    turns,
    reconcile: (identity = identityId) => reconciler.reconcile(identity, { signal: new AbortController().signal }),
    refresh: () => reconciler.refresh(identityId),
    /** A new leader, which knows the record only. */
    restart(): void {
      record.dieAfter(Number.POSITIVE_INFINITY);
      reconciler = createFederationReconciler(options);
    },
    /** Status and reason of each object. */
    statuses: () =>
      live.map((need) => {
        const { status, metadata } = objects.assignmentOf(need) ?? { status: 'gone', metadata: {} };
        return [status, metadata.annotations?.['aadpodidentity.k8s.io/reason']].filter((part) => part !== undefined).join(' ');
      }),
    annotation: (need: Need, name: string) => objects.assignmentOf(need)?.metadata.annotations?.[`aadpodidentity.k8s.io/${name}`],
  };
}
