import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { identityOf } from '../lib/identities/identity.ts';
import type { IdentityPolicy } from '../lib/identities/policy.ts';
import { assignment, binding, identity, pod } from '../lib/identities/testing/fixtures.ts';
import { fakeInformers } from '../lib/identities/testing/informers.ts';
import { createRowSource } from './rows.ts';

function bound(policy?: IdentityPolicy) {
  const informers = fakeInformers(undefined, policy);
  const it = { pod: pod(), identity: identity('app/i'), binding: binding('app/b', 'i') };
  informers.pods.put('app/web', it.pod);
  informers.identities.put('app/i', it.identity);
  informers.bindings.put('app/b', it.binding);
  return { informers, ...it, rows: createRowSource(informers, { managed: false, runtimeExceptions: 'allow' }) };
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
      const [row] = createRowSource(informers, { managed, runtimeExceptions: 'allow' }).get('app/web')?.identities ?? [];
      assert.deepEqual([row?.state, row?.objectID, row?.assignedAt], ['Failed', undefined, undefined]);
      assert.match(row?.reason ?? '', /^IdentityNotAllowed: no entry of identityPolicy allows AzureIdentity app\/i /);
    }
  });

  it('counts namespaces among the caches only where the policy selects by labels', () => {
    const { rows } = bound([]);
    assert.ok('namespaces' in rows.versions());
    const { namespaces: _, ...informers } = fakeInformers();
    assert.equal('namespaces' in createRowSource(informers, { managed: false, runtimeExceptions: 'allow' }).versions(), false);
  });

  it('makes no rows for a mirror pod', () => {
    const { informers } = bound();
    informers.pods.put('app/web', pod({ mirror: true }));
    for (const managed of [false, true])
      assert.deepEqual(createRowSource(informers, { managed, runtimeExceptions: 'allow' }).get('app/web')?.identities, []);
  });

  it('makes only Assigned rows in managed mode', () => {
    const { informers } = bound();
    assert.equal(
      createRowSource(informers, { managed: true, runtimeExceptions: 'allow' }).get('app/web')?.identities[0]?.state,
      'Assigned',
    );
  });

  it('marks rows of a pod that matches an exception of its namespace', () => {
    const { informers, rows } = bound();
    assert.equal(rows.get('app/web')?.excepted, false);
    informers.exceptions.put('other/e', { key: 'other/e', namespace: 'other', name: 'e', podLabels: { aadpodidbinding: 'sel' } });
    assert.equal(rows.get('app/web')?.excepted, false, 'of another namespace');
    informers.exceptions.put('app/e', { key: 'app/e', namespace: 'app', name: 'e', podLabels: { aadpodidbinding: 'SEL' } });
    assert.equal(rows.get('app/web')?.excepted, true);
    const denying = createRowSource(informers, { managed: false, runtimeExceptions: 'deny' });
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
