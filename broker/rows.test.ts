import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { identityOf } from '../lib/identities/objects.ts';
import { assignment, binding, identity, pod } from '../lib/identities/testing/fixtures.ts';
import { fakeInformers } from '../lib/identities/testing/informers.ts';
import { brokerView } from './rows.ts';

function bound() {
  const informers = fakeInformers();
  const it = { pod: pod(), identity: identity('app/i'), binding: binding('app/b', 'i') };
  informers.pods.put('app/web', it.pod);
  informers.identities.put('app/i', it.identity);
  informers.bindings.put('app/b', it.binding);
  return { informers, ...it, view: brokerView(informers, { managed: false }) };
}

const notes = (entries: Record<string, string>) =>
  Object.fromEntries(Object.entries(entries).map(([name, value]) => [`aadpodidentity.k8s.io/${name}`, value]));

describe('what the broker tells a pod', () => {
  it('that a matched identity is pending until there is an object, and why', () => {
    const { view } = bound();
    const row = view.rowsFor('app/web')?.identities[0];
    assert.equal(row?.state, 'Created');
    assert.match(row?.reason ?? '', /AzureAssignedIdentity/);
  });

  it('the ids that Azure reported, once it is assigned', () => {
    const { informers, view, ...of } = bound();
    const made = assignment(of.pod, of.identity, of.binding);
    made.metadata.annotations = {
      ...made.metadata.annotations,
      ...notes({ 'client-id': 'real', 'object-id': 'o', 'assigned-at': '2026-01-01T00:00:00Z' }),
    };
    informers.assignments.put(made.key, made);
    assert.deepEqual(view.rowsFor('app/web')?.identities, [
      {
        name: 'i',
        namespace: 'app',
        binding: 'app/b',
        type: 0,
        clientID: 'real',
        resourceID: of.identity.resourceID,
        state: 'Assigned',
        objectID: 'o',
        assignedAt: '2026-01-01T00:00:00Z',
      },
    ]);
  });

  it('the tenants of a service principal, the auxiliary ones for a secret only', () => {
    const { informers, view, ...of } = bound();
    const spec = { clientID: 'c', tenantID: 'own.example', auxiliaryTenantIDs: ['b.example', 7, 'c.example'] };
    const tenantsOf = (type: number) => {
      const changed = identityOf({ metadata: of.identity.object.metadata, spec: { ...spec, type } });
      assert.ok(changed);
      informers.identities.put('app/i', changed);
      const [row] = view.rowsFor('app/web')?.identities ?? [];
      return [row?.tenantID, row?.auxiliaryTenantIDs];
    };
    assert.deepEqual(tenantsOf(1), ['own.example', ['b.example', 'c.example']]);
    assert.deepEqual(tenantsOf(2), ['own.example', undefined]);
  });

  it('that it failed, where waiting does not help', () => {
    const { informers, view, ...of } = bound();
    const made = assignment(of.pod, of.identity, of.binding, { status: 'Created' });
    made.metadata.annotations = { ...made.metadata.annotations, ...notes({ reason: 'MissingRole', message: 'grant it' }) };
    informers.assignments.put(made.key, made);
    const row = view.rowsFor('app/web')?.identities[0];
    assert.deepEqual([row?.state, row?.reason], ['Failed', 'MissingRole: grant it']);
  });

  it('nothing of the object of a former pod, or of what the identity was before it changed', () => {
    const { informers, view, ...of } = bound();
    informers.assignments.put('default/web-app-i', assignment(of.pod, of.identity, of.binding, { podUid: 'former' }));
    assert.equal(view.rowsFor('app/web')?.identities[0]?.state, 'Created');
    const before = identity('app/i', { object: { ...of.identity.object, spec: { resourceID: '/another' } } });
    informers.assignments.put('default/web-app-i', assignment(of.pod, before, of.binding));
    assert.equal(view.rowsFor('app/web')?.identities[0]?.state, 'Created');
  });

  it('that its identity is assigned, though an older object for it cannot go because of a finalizer of somebody else', () => {
    const { informers, view, ...of } = bound();
    const old = assignment(of.pod, of.identity, of.binding, { status: 'Unassigned' });
    old.metadata.deletionTimestamp = '2026-01-01T00:00:00Z';
    old.metadata.finalizers = ['example.com/theirs'];
    const right = { ...assignment(of.pod, of.identity, of.binding), key: 'app/web-app-i', namespace: 'app' };
    informers.assignments.put(old.key, old);
    informers.assignments.put(right.key, right);
    assert.equal(view.rowsFor('app/web')?.identities[0]?.state, 'Assigned');
    assert.equal(informers.assignmentOf('app/web', 'app/i'), right);
  });

  it('nothing at all of a pod that is gone or finished', () => {
    const { informers, view } = bound();
    informers.pods.put('app/web', pod({ finished: true }));
    assert.equal(view.rowsFor('app/web'), undefined);
    informers.pods.remove('app/web');
    assert.equal(view.rowsFor('app/web'), undefined);
  });

  it('that everything is assigned in managed mode', () => {
    const { informers } = bound();
    assert.equal(brokerView(informers, { managed: true }).rowsFor('app/web')?.identities[0]?.state, 'Assigned');
  });

  it('whether an exception holds at this moment', () => {
    const { informers, view } = bound();
    assert.equal(view.rowsFor('app/web')?.excepted, false);
    informers.exceptions.put('other/e', { key: 'other/e', namespace: 'other', name: 'e', podLabels: { aadpodidbinding: 'sel' } });
    assert.equal(view.rowsFor('app/web')?.excepted, false, 'of another namespace');
    informers.exceptions.put('app/e', { key: 'app/e', namespace: 'app', name: 'e', podLabels: { aadpodidbinding: 'SEL' } });
    assert.equal(view.rowsFor('app/web')?.excepted, true);
  });

  for (const [what, change] of [
    ['its binding goes', (informers) => informers.bindings.remove('app/b')],
    ['its identity changes', (informers) => informers.identities.put('app/i', identity('app/i', { clientID: 'new' }))],
    [
      'an exception comes to its namespace',
      (informers) => informers.exceptions.put('app/e', { key: 'app/e', namespace: 'app', name: 'e', podLabels: {} }),
    ],
    [
      'its object is marked',
      (informers) => informers.assignments.put('default/web-app-i', assignment(pod(), identity('app/i'), binding('app/b', 'i'))),
    ],
    ['it goes itself', (informers) => informers.pods.remove('app/web')],
  ] as [string, (informers: ReturnType<typeof fakeInformers>) => void][]) {
    it(`wakes a pod when ${what}, and only that pod`, () => {
      const { informers, view } = bound();
      informers.pods.put('other/web', pod({ key: 'other/web', namespace: 'other', selector: 'another' }));
      const woken = new Set<string>();
      const off = view.onChange((podKey) => woken.add(podKey));
      change(informers);
      assert.deepEqual([...woken], ['app/web']);
      off();
    });
  }

  it('wakes the pod that an object was for, and the one that it is for since somebody edited it', () => {
    const { informers, view, ...of } = bound();
    const made = assignment(of.pod, of.identity, of.binding);
    informers.assignments.put(made.key, made);
    const woken = new Set<string>();
    const off = view.onChange((podKey) => woken.add(podKey));
    informers.assignments.put(made.key, { ...made, podKey: 'app/other' });
    assert.deepEqual([...woken].sort(), ['app/other', 'app/web']);
    off();
  });

  it('waits for a replica that is behind what the caller has seen, and not for one that is ahead', async () => {
    const { informers, view } = bound();
    const seen = view.seen();
    await view.whenSeen(seen, AbortSignal.abort());
    const ahead = { ...seen, pods: String(Number(seen.pods) + 1) };
    const waiting = view.whenSeen(ahead, new AbortController().signal);
    informers.pods.advance();
    await waiting;
    await assert.rejects(view.whenSeen({ ...ahead, pods: '999' }, AbortSignal.abort(new Error('enough'))), /enough/);
    await view.whenSeen({ somethingNewer: '1' }, new AbortController().signal);
  });
});
