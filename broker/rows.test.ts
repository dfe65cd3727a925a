import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { federationRecordName } from '../lib/identities/federation/record.ts';
import type { ListedRecord } from '../lib/identities/federation/records.ts';
import { identityOf } from '../lib/identities/identity.ts';
import type { IdentityPolicy } from '../lib/identities/policy.ts';
import { isAllowedAsClaimed } from '../lib/identities/policy.ts';
import { assignment, binding, federationRecord, identity, pod } from '../lib/identities/testing/fixtures.ts';
import type { FakeInformers } from '../lib/identities/testing/informers.ts';
import { fakeInformers } from '../lib/identities/testing/informers.ts';
import type { RowRules } from './rows.ts';
import { createRowSource } from './rows.ts';

const sourceOf = (informers: FakeInformers, changes: Partial<RowRules> = {}) =>
  createRowSource(informers, {
    managed: false,
    runtimeExceptions: 'allow',
    modes: { assignment: 'attach', assignmentOverrides: [] },
    isAllowed: informers.matches.isAllowed,
    isAllowedAsClaimed: () => assert.fail('nobody claims anything here'),
    ...changes,
  });

function bound(policy?: IdentityPolicy) {
  const informers = fakeInformers(undefined, policy);
  const it = { pod: pod(), identity: identity('app/i'), binding: binding('app/b', 'i') };
  informers.pods.put('app/web', it.pod);
  informers.identities.put('app/i', it.identity);
  informers.bindings.put('app/b', it.binding);
  return { informers, ...it, rows: sourceOf(informers) };
}

const notes = (entries: Record<string, string>) =>
  Object.fromEntries(Object.entries(entries).map(([name, value]) => [`aadpodidentity.k8s.io/${name}`, value]));

describe('rows of a pod', () => {
  it('makes a Created row with a reason until there is an AzureAssignedIdentity', () => {
    const { rows } = bound();
    const row = rows.get('app/web')?.identities[0];
    assert.equal(row?.state, 'Created');
    assert.match(row?.reason ?? '', /AzureAssignedIdentity/);
  });

  it('gives an Assigned row the ids that Azure reported', () => {
    const { informers, rows, ...of } = bound();
    const made = assignment(of.pod, of.identity, of.binding);
    made.metadata.annotations = {
      ...made.metadata.annotations,
      ...notes({ 'client-id': 'real', 'object-id': 'o', 'assigned-at': '2026-01-01T00:00:00Z' }),
    };
    informers.assignments.put(made.key, made);
    assert.deepEqual(rows.get('app/web')?.identities, [
      {
        name: 'i',
        namespace: 'app',
        binding: 'app/b',
        type: 0,
        source: 'imds',
        clientID: 'real',
        resourceID: of.identity.resourceID,
        state: 'Assigned',
        objectID: 'o',
        assignedAt: '2026-01-01T00:00:00Z',
      },
    ]);
  });

  it('gives a row its tenants, auxiliary ones for type 1 only', () => {
    const { informers, rows, ...of } = bound();
    const spec = { clientID: 'c', tenantID: 'own.example', auxiliaryTenantIDs: ['b.example', 7, 'c.example'] };
    const tenantsOf = (type: number) => {
      const changed = identityOf({ metadata: of.identity.object.metadata, spec: { ...spec, type } });
      assert.ok(changed);
      informers.identities.put('app/i', changed);
      const [row] = rows.get('app/web')?.identities ?? [];
      assert.equal(row?.source, 'broker');
      return [row?.tenantID, row?.auxiliaryTenantIDs];
    };
    assert.deepEqual(tenantsOf(1), ['own.example', ['b.example', 'c.example']]);
    assert.deepEqual(tenantsOf(2), ['own.example', undefined]);
  });

  it('keeps rows of one name in two namespaces apart, the own one first', () => {
    const { informers, rows, ...of } = bound();
    const foreign = identity('team/i', { resourceID: '/foreign' });
    informers.identities.put('team/i', foreign);
    informers.bindings.put('team/b', binding('team/b', 'i'));
    const made = assignment(of.pod, of.identity, of.binding);
    informers.assignments.put(made.key, made);
    const found = rows.get('app/web')?.identities.map(({ namespace, name, state, source }) => [namespace, name, state, source]);
    assert.deepEqual(found, [
      ['app', 'i', 'Assigned', 'imds'],
      ['team', 'i', 'Created', 'imds'],
    ]);
  });

  it('makes a Failed row for a terminal reason', () => {
    const { informers, rows, ...of } = bound();
    const made = assignment(of.pod, of.identity, of.binding, { status: 'Created' });
    made.metadata.annotations = { ...made.metadata.annotations, ...notes({ reason: 'MissingRole', message: 'grant it' }) };
    informers.assignments.put(made.key, made);
    const row = rows.get('app/web')?.identities[0];
    assert.deepEqual([row?.state, row?.reason], ['Failed', 'MissingRole: grant it']);
  });

  it('ignores an object of a former pod, or of a former resourceID', () => {
    const { informers, rows, ...of } = bound();
    informers.assignments.put('default/web-app-i', assignment(of.pod, of.identity, of.binding, { podUid: 'former' }));
    assert.equal(rows.get('app/web')?.identities[0]?.state, 'Created');
    const before = identity('app/i', { object: { ...of.identity.object, spec: { resourceID: '/another' } } });
    informers.assignments.put('default/web-app-i', assignment(of.pod, before, of.binding));
    assert.equal(rows.get('app/web')?.identities[0]?.state, 'Created');
  });

  it('makes an Assigned row although a finalizer holds an older object', () => {
    const { informers, rows, ...of } = bound();
    const old = assignment(of.pod, of.identity, of.binding, { status: 'Unassigned' });
    old.metadata.deletionTimestamp = '2026-01-01T00:00:00Z';
    old.metadata.finalizers = ['example.com/theirs'];
    const right = { ...assignment(of.pod, of.identity, of.binding), key: 'app/web-app-i', namespace: 'app' };
    informers.assignments.put(old.key, old);
    informers.assignments.put(right.key, right);
    assert.equal(rows.get('app/web')?.identities[0]?.state, 'Assigned');
    assert.equal(informers.assignmentOf('app/web', 'app/i'), right);
  });

  it('makes no rows for a pod that is gone or finished', () => {
    const { informers, rows } = bound();
    informers.pods.put('app/web', pod({ finished: true }));
    assert.equal(rows.get('app/web'), undefined);
    informers.pods.remove('app/web');
    assert.equal(rows.get('app/web'), undefined);
  });

  it('makes Failed rows for what identityPolicy refuses, in both modes', () => {
    const { informers, ...of } = bound([]);
    const made = assignment(of.pod, of.identity, of.binding);
    informers.assignments.put(made.key, made);
    for (const managed of [false, true]) {
      const [row] = sourceOf(informers, { managed }).get('app/web')?.identities ?? [];
      assert.deepEqual([row?.state, row?.objectID, row?.assignedAt], ['Failed', undefined, undefined]);
      assert.match(row?.reason ?? '', /^IdentityNotAllowed: no entry of identityPolicy allows AzureIdentity app\/i /);
    }
  });

  it('counts namespaces among the caches only where the policy selects by labels', () => {
    const { rows } = bound([]);
    assert.ok('namespaces' in rows.versions());
    const { namespaces: _, ...informers } = fakeInformers();
    assert.equal('namespaces' in sourceOf(informers as FakeInformers).versions(), false);
  });

  it('makes no rows for a mirror pod', () => {
    const { informers } = bound();
    informers.pods.put('app/web', pod({ mirror: true }));
    for (const managed of [false, true]) assert.deepEqual(sourceOf(informers, { managed }).get('app/web')?.identities, []);
  });

  it('makes only Assigned rows in managed mode', () => {
    const { informers } = bound();
    assert.equal(sourceOf(informers, { managed: true }).get('app/web')?.identities[0]?.state, 'Assigned');
  });

  it('marks rows of a pod that matches an exception of its namespace', () => {
    const { informers, rows } = bound();
    assert.equal(rows.get('app/web')?.excepted, false);
    informers.exceptions.put('other/e', { key: 'other/e', namespace: 'other', name: 'e', podLabels: { aadpodidbinding: 'sel' } });
    assert.equal(rows.get('app/web')?.excepted, false, 'of another namespace');
    informers.exceptions.put('app/e', { key: 'app/e', namespace: 'app', name: 'e', podLabels: { aadpodidbinding: 'SEL' } });
    assert.equal(rows.get('app/web')?.excepted, true);
    const denying = sourceOf(informers, { runtimeExceptions: 'deny' });
    assert.equal(denying.get('app/web')?.excepted, false, 'with runtimeExceptions: deny');
  });

  for (const [what, change] of [
    ['its binding goes', (informers) => informers.bindings.remove('app/b')],
    ['its identity changes', (informers) => informers.identities.put('app/i', identity('app/i', { clientID: 'new' }))],
    [
      'an exception comes to its namespace',
      (informers) => informers.exceptions.put('app/e', { key: 'app/e', namespace: 'app', name: 'e', podLabels: {} }),
    ],
    [
      'its AzureAssignedIdentity changes',
      (informers) => informers.assignments.put('default/web-app-i', assignment(pod(), identity('app/i'), binding('app/b', 'i'))),
    ],
    ['the pod goes', (informers) => informers.pods.remove('app/web')],
  ] as [string, (informers: ReturnType<typeof fakeInformers>) => void][]) {
    it(`reports only that pod as changed when ${what}`, () => {
      const { informers, rows } = bound();
      informers.pods.put('other/web', pod({ key: 'other/web', namespace: 'other', selector: 'another' }));
      const changed = new Set<string>();
      const off = rows.onChange((podKey) => changed.add(podKey));
      change(informers);
      assert.deepEqual([...changed], ['app/web']);
      off();
    });
  }

  it('reports the former and the present pod of an edited object as changed', () => {
    const { informers, rows, ...of } = bound();
    const made = assignment(of.pod, of.identity, of.binding);
    informers.assignments.put(made.key, made);
    const changed = new Set<string>();
    const off = rows.onChange((podKey) => changed.add(podKey));
    informers.assignments.put(made.key, { ...made, podKey: 'app/other' });
    assert.deepEqual([...changed].sort(), ['app/other', 'app/web']);
    off();
  });

  it('waits until the caches have reached given versions', async () => {
    const { informers, rows } = bound();
    const versions = rows.versions();
    await rows.whenReached(versions, AbortSignal.abort());
    const ahead = { ...versions, pods: String(Number(versions.pods) + 1) };
    const waiting = rows.whenReached(ahead, new AbortController().signal);
    informers.pods.advance();
    await waiting;
    await assert.rejects(rows.whenReached({ ...ahead, pods: '999' }, AbortSignal.abort(new Error('enough'))), /enough/);
    await rows.whenReached({ somethingNewer: '1' }, new AbortController().signal);
  });
});

const resourceID = '/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/i';
const identityId = resourceID.toLowerCase();
const guid = 'cccccccc-0000-4000-8000-000000000001';
const tenant = 'cccccccc-0000-4000-8000-00000000000f';

const record = (changes: Partial<ListedRecord> = {}): ListedRecord =>
  federationRecord({ identity: identityId, clientId: guid, tenantId: tenant, ...changes });

/** One pod with an identity that is annotated to be federated. */
function federated(changes: Partial<RowRules> = {}) {
  const informers = fakeInformers();
  const object = identityOf({
    metadata: { namespace: 'app', name: 'i', annotations: notes({ assignment: 'federate' }) },
    spec: { type: 0, resourceID, clientID: 'claimed' },
  });
  assert.ok(object);
  const of = { pod: pod(), identity: object, binding: binding('app/b', 'i') };
  informers.pods.put('app/web', of.pod);
  informers.identities.put('app/i', of.identity);
  informers.bindings.put('app/b', of.binding);
  const rows = sourceOf(informers, changes);
  return {
    informers,
    rows,
    ...of,
    row: () => rows.get('app/web')?.identities[0],
    record: (value: ListedRecord) => informers.federationRecords.put(`aad/${federationRecordName(value.identity)}`, value),
    /** What the controller writes once it has attached (a scale set) or federated (the identity) it. */
    assigned(scope: string, changed = of.identity) {
      const made = assignment(of.pod, changed, of.binding);
      made.metadata.annotations = { ...made.metadata.annotations, ...notes({ scope, 'client-id': 'forged', 'object-id': 'forged' }) };
      informers.assignments.put(made.key, made);
    },
  };
}

describe('rows of federated identities', () => {
  it('makes an Assigned row once the record is proven and the object is Assigned', () => {
    const { row, assigned, ...it } = federated();
    assert.deepEqual([row()?.state, row()?.source], ['Created', 'broker']);
    assigned(resourceID);
    assert.deepEqual([row()?.state, row()?.reason], ['Created', 'the controller has not proven its federated credential yet']);
    it.record(record({ provenAt: undefined }));
    assert.equal(row()?.state, 'Created');
    it.record(record());
    const { state, source, clientID, objectID, tenantID } = row() ?? {};
    assert.deepEqual(
      { state, source, clientID, objectID, tenantID },
      { state: 'Assigned', source: 'broker', clientID: guid, objectID: 'object', tenantID: undefined },
    );
  });

  it('keeps the ids of a row whose credential vanishes', () => {
    const { row, assigned, ...it } = federated();
    assigned(resourceID);
    it.record(record());
    const ids = () => [row()?.clientID, row()?.objectID];
    const before = ids();
    it.record(record({ provenAt: undefined, credential: undefined }));
    assert.deepEqual([row()?.state, ids()], ['Created', before]);
    it.informers.assignments.remove('default/web-app-i');
    assert.deepEqual([row()?.state, ids()], ['Created', before]);
  });

  it('makes no Assigned row of a proven record alone', () => {
    const { row, ...it } = federated();
    it.record(record());
    assert.equal(row()?.state, 'Created');
  });

  it('keeps a row at IMDS until its object has moved to the identity', () => {
    const { row, assigned, ...it } = federated();
    it.record(record());
    assigned('/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachineScaleSets/pool');
    assert.deepEqual([row()?.state, row()?.source, row()?.clientID], ['Assigned', 'imds', 'forged']);
  });

  it('keeps a row at the broker until its object has moved back to the scale set', () => {
    const { row, assigned, informers, ...it } = federated();
    it.record(record());
    assigned(resourceID);
    informers.identities.put('app/i', identity('app/i'));
    assert.deepEqual([row()?.state, row()?.source], ['Assigned', 'broker']);
    assigned('/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachineScaleSets/pool', identity('app/i'));
    assert.deepEqual([row()?.state, row()?.source], ['Assigned', 'imds']);
  });

  it('keeps everything but the source of a row when it moves', () => {
    const { row, assigned, ...it } = federated();
    it.record(record({ clientId: 'forged', objectId: 'forged' }));
    assigned('/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachineScaleSets/pool');
    const before = row();
    assigned(resourceID);
    assert.deepEqual({ ...row(), source: 'imds' }, before);
  });

  it('reports the pods of an identity as changed when its record changes', () => {
    const { rows, assigned, ...it } = federated();
    assigned(resourceID);
    const changed: string[] = [];
    rows.onChange((podKey) => changed.push(podKey));
    it.record(record());
    it.record(record({ identity: `${identityId}2` }));
    assert.deepEqual(changed, ['app/web']);
  });

  it('counts records among the caches, and waits for their first list', () => {
    const { informers, rows } = federated();
    assert.ok('federationRecords' in rows.versions());
    assert.equal(rows.synced, true);
    Object.assign(informers.federationRecords, { synced: false });
    assert.equal(rows.synced, false);
  });

  it('needs in managed mode a policy that names resource, client and tenant', () => {
    const managedRow = (spec: object, policy: IdentityPolicy | undefined) => {
      const { informers, rows } = federated({
        managed: true,
        isAllowedAsClaimed: (subject) => isAllowedAsClaimed(policy, subject, undefined),
      });
      const changed = identityOf({
        metadata: { namespace: 'app', name: 'i', annotations: notes({ assignment: 'federate' }) },
        spec: { type: 0, resourceID, ...spec },
      });
      assert.ok(changed);
      informers.identities.put('app/i', changed);
      const [row] = rows.get('app/web')?.identities ?? [];
      return [row?.state, row?.source, row?.reason?.split(':')[0]];
    };
    const spec = { clientID: guid, tenantID: tenant };
    const named = { resourceIDs: [resourceID], clientIDs: [guid], tenantIDs: [tenant] };
    assert.deepEqual(managedRow(spec, [named]), ['Assigned', 'broker', undefined]);
    for (const policy of [
      undefined,
      [],
      [{ resourceIDs: [resourceID] }],
      [{ ...named, clientIDs: ['*'] }],
      [{ ...named, resourceIDs: [`${resourceID}2`] }],
      [{ clientIDs: [guid], tenantIDs: [tenant] }],
      [{ ...named, namespaces: ['other'] }],
    ])
      assert.deepEqual(managedRow(spec, policy), ['Failed', 'broker', 'IdentityNotAllowed'], JSON.stringify(policy));
    assert.deepEqual(managedRow({ clientID: guid }, [named]), ['Failed', 'broker', 'FederationRefused']);
    assert.deepEqual(managedRow({ tenantID: tenant }, [named]), ['Failed', 'broker', 'FederationRefused']);
  });

  it('judges type 3 by the resource id that its client id is known to have', () => {
    const named = { clientIDs: [guid], tenantIDs: [tenant] };
    const stateOf = (policy: IdentityPolicy, records: ListedRecord[]) => {
      const informers = fakeInformers(undefined, policy);
      for (const each of records) informers.federationRecords.put(`aad/${federationRecordName(each.identity)}`, each);
      const app = identityOf({ metadata: { namespace: 'app', name: 'i' }, spec: { type: 3, clientID: guid, tenantID: tenant } });
      assert.ok(app);
      informers.pods.put('app/web', pod());
      informers.identities.put('app/i', app);
      informers.bindings.put('app/b', binding('app/b', 'i'));
      const made = assignment(pod(), app, binding('app/b', 'i'));
      informers.assignments.put(made.key, made);
      const rows = sourceOf(informers);
      const [row] = rows.get('app/web')?.identities ?? [];
      return [row?.state, row?.source];
    };
    assert.deepEqual(stateOf([named], []), ['Assigned', 'broker']);
    assert.deepEqual(stateOf([named], [record({ clientId: guid.toUpperCase() })]), ['Failed', 'broker']);
    assert.deepEqual(stateOf([named, { resourceIDs: [resourceID] }], [record()]), ['Assigned', 'broker']);
    // The record of an identity before it moved, and after.
    const moved = record({ identity: `${resourceID}-moved` });
    for (const records of [
      [record(), moved],
      [moved, record()],
    ])
      assert.deepEqual(stateOf([named, { resourceIDs: [resourceID] }], records), ['Failed', 'broker']);
    assert.deepEqual(stateOf([], []), ['Failed', 'broker']);
  });
});
