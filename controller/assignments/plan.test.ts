import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { assignedIdentityFinalizer } from '../../api/names.ts';
import type { Assignment } from '../../lib/identities/objects.ts';
import { assignment, identity, pod } from '../../lib/identities/testing/fixtures.ts';
import type { PlanRules } from './plan.ts';
import { planAssignments } from './plan.ts';
import type { PodState } from './pod-state.ts';
import { matchOf, podState } from './testing/fixtures.ts';

const match = matchOf('i');
const own = (overrides: Partial<Assignment> = {}) => assignment(pod(), match.identity, match.binding, overrides);

function plan(state: Partial<PodState>, rules: Partial<PlanRules> = {}): string[] {
  const actions = planAssignments(podState(state), { assignUninjected: false, forceNamespaced: false, ...rules });
  return actions.map((action) => (action.kind === 'update' ? `${action.kind}${action.restart ? ' restart' : ''}` : action.kind));
}

describe('planAssignments', () => {
  it('plans nothing where the objects match', () => {
    assert.deepEqual(plan({ assignments: [own()] }), []);
  });

  it('creates an object once the pod has a node', () => {
    assert.deepEqual(plan({}), ['create']);
    assert.deepEqual(plan({ pod: pod({ node: '' }) }), []);
  });

  it('creates an object for an uninjected pod only in the exceptional cases', () => {
    const uninjected = pod({ injected: false });
    assert.deepEqual(plan({ pod: uninjected }), []);
    assert.deepEqual(plan({ pod: uninjected }, { assignUninjected: true }), ['create']);
    assert.deepEqual(plan({ pod: uninjected, excepted: true }), ['create']);
    assert.deepEqual(plan({ pod: { ...uninjected, hostNetwork: true } }), ['create']);
  });

  it('keeps the object that an uninjected pod has already', () => {
    assert.deepEqual(plan({ pod: pod({ injected: false }), assignments: [own()] }), []);
  });

  it('releases all objects of a pod that is gone or finished', () => {
    assert.deepEqual(plan({ pod: undefined, assignments: [own()] }), ['release']);
    assert.deepEqual(plan({ pod: pod({ finished: true }), assignments: [own()] }), ['release']);
  });

  it('releases an object that no identity matches any more', () => {
    assert.deepEqual(plan({ matches: [], assignments: [own()] }), ['release']);
  });

  it('replaces the object of a former pod of the same name', () => {
    assert.deepEqual(plan({ assignments: [own({ podUid: 'former' })] }), ['release', 'create']);
  });

  it('updates an object of aad-pod-identity without restarting it', () => {
    assert.deepEqual(plan({ assignments: [own({ podUid: undefined })] }), ['update']);
  });

  it('restarts an object only when its token or its node changes', () => {
    const withSpec = (spec: Record<string, unknown>) => {
      const { object } = match.identity;
      return { ...match, identity: identity('app/i', { object: { ...object, spec: { ...object.spec, ...spec } } }) };
    };
    assert.deepEqual(plan({ matches: [withSpec({ tenantID: 't' })], assignments: [own()] }), ['update']);
    assert.deepEqual(plan({ matches: [withSpec({ clientID: 'other' })], assignments: [own()] }), ['update restart']);
    assert.deepEqual(plan({ pod: pod({ node: 'n2' }), assignments: [own()] }), ['update restart']);
  });

  it('restarts an Unassigned object whose pod matches again', () => {
    assert.deepEqual(plan({ assignments: [own({ status: 'Unassigned' })] }), ['update restart']);
  });

  it('moves an object to another namespace when forceNamespaced changes', () => {
    assert.deepEqual(plan({ assignments: [own()] }, { forceNamespaced: true }), ['release', 'create']);
    const namespaced = { ...own(), namespace: 'app' };
    assert.deepEqual(plan({ assignments: [namespaced] }, { forceNamespaced: true }), []);
    assert.deepEqual(plan({ assignments: [namespaced] }), ['release', 'create']);
  });

  it('releases before it creates when an identity of the same name takes over', () => {
    const other = { ...match, identity: identity('team/i') };
    assert.deepEqual(plan({ matches: [other], assignments: [own()] }), ['release', 'create']);
  });

  it('releases an object that somebody deleted, and does not create another beside it', () => {
    const deleted = own();
    deleted.metadata.deletionTimestamp = '2026-01-01T00:00:00Z';
    deleted.metadata.finalizers = [assignedIdentityFinalizer];
    assert.deepEqual(plan({ assignments: [deleted] }), ['release']);
  });

  it('does not release an object again that only the finalizer of somebody else holds', () => {
    const held = own({ status: 'Unassigned' });
    held.metadata.deletionTimestamp = '2026-01-01T00:00:00Z';
    held.metadata.finalizers = ['example.com/theirs'];
    assert.deepEqual(plan({ pod: undefined, assignments: [held] }), []);
  });

  it('assigns identities of types 1 and 2 without a scope', () => {
    const principal = identity('app/i', { type: 1, object: { ...match.identity.object, spec: { type: 1, clientID: 'client-i' } } });
    const created = assignment(pod(), principal, match.binding, { status: 'Created' });
    assert.deepEqual(plan({ matches: [{ ...match, identity: principal }], assignments: [created] }), ['assign']);
    assert.deepEqual(plan({ assignments: [own({ status: 'Created' })] }), []);
  });

  it('never assigns an identity of an unknown type', () => {
    const odd = identity('app/i', { type: undefined, identityId: undefined });
    const created = assignment(pod(), odd, match.binding, { status: 'Created' });
    assert.deepEqual(plan({ matches: [{ ...match, identity: odd }], assignments: [created] }), []);
  });
});
