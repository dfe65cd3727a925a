// Fakes of what the scope reconciler works on: Azure's list and the record's ConfigMap, with the real rules of who may change what.

import { scopeOfId } from '../../../lib/azure/resource-ids.ts';
import type { Need } from '../../../lib/identities/need.ts';
import { binding, identity, pod } from '../../../lib/identities/testing/fixtures.ts';
import { KubeError } from '../../../lib/kube/errors.ts';
import type { Compute, ScopeSnapshot } from '../../azure/arm/compute.ts';
import type { AttachedIdentity, Write } from '../../azure/arm/identity-map.ts';
import { createConditions } from '../../testing/conditions.ts';
import type { OwnershipRecord } from '../ownership.ts';
import { emptyRecord } from '../ownership.ts';
import type { OwnershipStore } from '../ownership-store.ts';

const scope = scopeOfId('/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachineScaleSets/set');
if (scope === undefined) throw new Error('the scope of the tests is not one');
export const testScope = scope;

/** Id of a user-assigned identity as `need` uses it. */
export const idOf = (name: string): string =>
  `/subscriptions/s/resourcegroups/g/providers/microsoft.managedidentity/userassignedidentities/${name}`;

export function need(podName: string, identityName: string): Need {
  const of = pod({ key: `app/${podName}`, name: podName, uid: `uid-${podName}` });
  return {
    pod: of,
    match: { identity: identity(`app/${identityName}`), binding: binding('app/b', identityName) },
    identityId: idOf(identityName),
  };
}

export function fakeAzure(attached: string[] = []) {
  const list = new Map<string, AttachedIdentity>(
    attached.map((name) => [idOf(name), { clientId: `client-${name}`, principalId: `principal-${name}` }]),
  );
  const writes: Write[] = [];
  let reads = 0;
  /** Each is called for one write; throwing is the failure of the PATCH. */
  const onWrite: ((write: Write) => void)[] = [];
  /** The same for one GET. */
  const onRead: (() => void)[] = [];
  const conditions = createConditions();

  const compute: Compute = {
    async read(): Promise<ScopeSnapshot> {
      reads += 1;
      conditions.check();
      onRead.shift()?.();
      return {
        type: 'UserAssigned',
        identities: new Map(list),
        etag: '"1"',
        provisioningState: 'Succeeded',
        location: 'here',
        imdsRestricted: fake.imdsRestricted,
        readAt: 0,
      };
    },
    async write(_scope, write, _seen, options = {}) {
      writes.push(write);
      conditions.check();
      // Refused by the answer to the PATCH itself, or by the operation that it began.
      if (!fake.refuses) await options.onOperation?.('https://arm/operation');
      onWrite.shift()?.(write);
      for (const id of write.attach) list.set(id, fake.shows(id.split('/').at(-1) ?? ''));
      for (const id of write.detach) list.delete(id);
      return write;
    },
    resume: async () => undefined,
  };
  const fake = {
    refuses: false,
    imdsRestricted: false,
    /** What Azure reports of an identity that was attached. */
    shows: (name: string): AttachedIdentity => ({ clientId: `client-${name}`, principalId: 'p' }),
    compute,
    writes,
    onWrite,
    onRead,
    get reads() {
      return reads;
    },
    names: () => [...list.keys()].map((id) => id.split('/').at(-1)).sort(),
    list,
    until: conditions.until,
  };
  return fake;
}

export function fakeRecords(start: OwnershipRecord = emptyRecord(testScope.id)) {
  let record = start;
  let version = 0;
  const history: OwnershipRecord[] = [];
  const conditions = createConditions();
  const store: OwnershipStore = {
    load: async () => ({ record, resourceVersion: String(version) }),
    async save(stored, changed) {
      if (stored.resourceVersion !== String(version)) throw new KubeError(409, 'Conflict', 'the record was saved over a newer one');
      record = changed;
      history.push(changed);
      version += 1;
      return { record, resourceVersion: String(version) };
    },
    async remove(stored) {
      if (stored.resourceVersion !== String(version)) throw new KubeError(409, 'Conflict', 'the record was removed over a newer one');
      record = emptyRecord(testScope.id);
      version += 1;
      conditions.check();
    },
  };
  return {
    store,
    history,
    /** Checked when the record is removed. */
    until: conditions.until,
    /** As a person does with `kubectl edit`. */
    edit(change: (record: OwnershipRecord) => OwnershipRecord): void {
      record = change(record);
      version += 1;
    },
    states: () => Object.fromEntries([...record.identities].map(([id, entry]) => [id.split('/').at(-1), entry.state])),
  };
}
