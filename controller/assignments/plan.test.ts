import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { assignment, binding, identity, pod } from '../../lib/identities/testing/fixtures.ts';
import type { PodSituation } from './plan.ts';
import { planAssignments } from './plan.ts';

const match = { identity: identity('app/i'), binding: binding('app/b', 'i') };
const own = (overrides = {}) => assignment(pod(), match.identity, match.binding, overrides);

function plan(situation: Partial<PodSituation>): string[] {
  const whole = {
    pod: pod(),
    matches: [match],
    excepted: false,
    existing: [],
    assignUninjected: false,
    forceNamespaced: false,
    ...situation,
  };
  return planAssignments(whole).map((action) =>
    action.kind === 'update' ? `${action.kind}${action.restart ? ' restart' : ''}` : action.kind,
  );
}

describe('what a pod’s assignments need', () => {
  it('nothing, where everything is as it should be', () => {
    assert.deepEqual(plan({ existing: [own()] }), []);
  });

  it('a new object once the pod has a node', () => {
    assert.deepEqual(plan({}), ['create']);
    assert.deepEqual(plan({ pod: pod({ node: '' }) }), []);
  });

  it('none for a pod that was not injected, but for hostNetwork, excepted and on request', () => {
    const uninjected = pod({ injected: false });
    assert.deepEqual(plan({ pod: uninjected }), []);
    assert.deepEqual(plan({ pod: uninjected, assignUninjected: true }), ['create']);
    assert.deepEqual(plan({ pod: uninjected, excepted: true }), ['create']);
    assert.deepEqual(plan({ pod: { ...uninjected, hostNetwork: true } }), ['create']);
  });

  it('keeps what an uninjected pod already has', () => {
    assert.deepEqual(plan({ pod: pod({ injected: false }), existing: [own()] }), []);
  });

  it('releases all of a pod that is gone or finished', () => {
    assert.deepEqual(plan({ pod: undefined, existing: [own()] }), ['release']);
    assert.deepEqual(plan({ pod: pod({ finished: true }), existing: [own()] }), ['release']);
  });

  it('releases what no longer matches', () => {
    assert.deepEqual(plan({ matches: [], existing: [own()] }), ['release']);
  });

  it('does not take the object of a former pod of the same name for its own', () => {
    assert.deepEqual(plan({ existing: [own({ podUid: 'former' })] }), ['release', 'create']);
  });

  it('adopts the object that aad-pod-identity wrote, without restarting it', () => {
    assert.deepEqual(plan({ existing: [own({ podUid: undefined })] }), ['update']);
  });

  it('updates in place, and restarts only where the token changes', () => {
    const renamed = {
      ...match,
      identity: identity('app/i', { object: { ...match.identity.object, spec: { ...match.identity.object.spec, tenantID: 't' } } }),
    };
    assert.deepEqual(plan({ matches: [renamed], existing: [own()] }), ['update']);
    const other = {
      ...match,
      identity: identity('app/i', { object: { ...match.identity.object, spec: { ...match.identity.object.spec, clientID: 'other' } } }),
    };
    assert.deepEqual(plan({ matches: [other], existing: [own()] }), ['update restart']);
    assert.deepEqual(plan({ pod: pod({ node: 'n2' }), existing: [own()] }), ['update restart']);
  });

  it('takes an Unassigned object back that matches again, where upstream leaves it stuck (spec 1.9, defect 1)', () => {
    assert.deepEqual(plan({ existing: [own({ status: 'Unassigned' })] }), ['update restart']);
  });

  it('moves an object to the namespace of its identity when matching becomes namespaced, and back (spec 1.9, defect 4)', () => {
    assert.deepEqual(plan({ existing: [own()], forceNamespaced: true }), ['release', 'create']);
    const namespaced = { ...own(), namespace: 'app' };
    assert.deepEqual(plan({ existing: [namespaced], forceNamespaced: true }), []);
    assert.deepEqual(plan({ existing: [namespaced] }), ['release', 'create']);
  });

  it('lets the object go first when another namespace gives an identity of the same name, whose object needs the name', () => {
    const other = { ...match, identity: identity('team/i') };
    assert.deepEqual(plan({ matches: [other], existing: [own()] }), ['release', 'create']);
  });

  it('lets an object go that somebody deleted, so that a new one can be made', () => {
    const deleted = own();
    deleted.metadata.deletionTimestamp = '2026-01-01T00:00:00Z';
    assert.deepEqual(plan({ existing: [deleted] }), ['release']);
  });

  it('assigns types 1 and 2 without Azure', () => {
    const principal = identity('app/i', { type: 1, object: { ...match.identity.object, spec: { type: 1, clientID: 'client-i' } } });
    const created = assignment(pod(), principal, match.binding, { status: 'Created' });
    assert.deepEqual(plan({ matches: [{ ...match, identity: principal }], existing: [created] }), ['assign']);
    assert.deepEqual(plan({ existing: [own({ status: 'Created' })] }), []);
  });

  it('never assigns an identity of a type that is none', () => {
    const odd = identity('app/i', { type: undefined, identityId: undefined });
    const created = assignment(pod(), odd, match.binding, { status: 'Created' });
    assert.deepEqual(plan({ matches: [{ ...match, identity: odd }], existing: [created] }), []);
  });
});
