import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { assignedIdentityFinalizer } from '../../api/names.ts';
import type { Assignment } from '../../lib/identities/assignment.ts';
import type { Match } from '../../lib/identities/match.ts';
import { assignment, binding, identity, pod } from '../../lib/identities/testing/fixtures.ts';
import { needsOfPod } from './needs.ts';
import type { PlanRules } from './plan.ts';
import { planAssignments } from './plan.ts';
import type { PodState } from './pod-state.ts';
import { matchOf, podState } from './testing/fixtures.ts';

const defaultRules: PlanRules = { assignUninjected: false, nodeEndpointDrivers: [], forceNamespaced: false };

const match = matchOf('i');
const own = (overrides: Partial<Assignment> = {}) => assignment(pod(), match.identity, match.binding, overrides);

/** An identity of the same name in another namespace. */
const foreign: Match = { identity: identity('team/i'), binding: binding('team/b', 'i') };
const objectOfForeign = (overrides: Partial<Assignment> = {}) => assignment(pod(), foreign.identity, foreign.binding, overrides);

function plan(state: Partial<PodState>, rules: Partial<PlanRules> = {}): string[] {
  const actions = planAssignments(podState(state), { ...defaultRules, ...rules });
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

  it('creates an object for an opted-out pod with a volume of the node endpoint', () => {
    const nodeEndpointDrivers = ['secrets-store.csi.k8s.io', 'azure/kv'];
    const optedOut = pod({ injected: false, optedOut: true, volumeDrivers: ['azure/kv'] });
    assert.deepEqual(plan({ pod: optedOut }, { nodeEndpointDrivers }), ['create']);
    assert.deepEqual(plan({ pod: optedOut }), [], 'there is no node endpoint');
    assert.deepEqual(plan({ pod: { ...optedOut, volumeDrivers: ['other.csi.test'] } }, { nodeEndpointDrivers }), []);
    assert.deepEqual(plan({ pod: { ...optedOut, optedOut: false } }, { nodeEndpointDrivers }), [], 'the webhook missed this pod');
    assert.deepEqual(plan({ pod: { ...optedOut, mirror: true } }, { nodeEndpointDrivers }), []);
  });

  it('creates nothing for a mirror pod, whatever else it is', () => {
    const mirror = pod({ mirror: true, hostNetwork: true, injected: true });
    assert.deepEqual(plan({ pod: mirror, excepted: true }, { assignUninjected: true }), []);
  });

  it('releases what a mirror pod has', () => {
    assert.deepEqual(plan({ pod: pod({ mirror: true }), assignments: [own()] }), ['release']);
  });

  it('leaves the object of an identity that identityPolicy refuses Created', () => {
    assert.deepEqual(plan({ notAllowed: new Set(['app/i']) }), ['create']);
    assert.deepEqual(plan({ notAllowed: new Set(['app/i']), assignments: [own({ status: 'Created' })] }), []);
    const principal = { ...match, identity: { ...match.identity, type: 1 as const } };
    const state = { matches: [principal], assignments: [own({ status: 'Created' })] };
    assert.deepEqual(plan(state), ['assign']);
    assert.deepEqual(plan({ ...state, notAllowed: new Set(['app/i']) }), []);
  });

  it('restarts an object when identityPolicy begins or ends to refuse its identity', () => {
    assert.deepEqual(plan({ notAllowed: new Set(['app/i']), assignments: [own()] }), ['update restart']);
    const refused = own({ status: 'Created' });
    refused.metadata.annotations = { ...refused.metadata.annotations, 'aadpodidentity.k8s.io/reason': 'IdentityNotAllowed' };
    assert.deepEqual(plan({ notAllowed: new Set(['app/i']), assignments: [refused] }), []);
    assert.deepEqual(plan({ assignments: [refused] }), ['update restart']);
  });

  it('restarts the object of a managed identity on a node outside azureScopes', () => {
    assert.deepEqual(plan({ scope: 'outside', assignments: [own()] }), ['update restart']);
    assert.deepEqual(plan({ scope: 'outside', assignments: [own({ status: 'Created' })] }), []);
    const principal = { ...match, identity: { ...match.identity, type: 1 as const } };
    assert.deepEqual(plan({ scope: 'outside', matches: [principal], assignments: [own()] }), []);
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

  it('keeps an object that holds less or more of its identity than is written', () => {
    const { object } = match.identity;
    const large = {
      ...object,
      metadata: { ...object.metadata, annotations: { a: 'b' } },
      spec: { ...object.spec, adEndpoint: 'x'.repeat(4_000) },
    };
    assert.deepEqual(plan({ matches: [{ ...match, identity: identity('app/i', { object: large }) }], assignments: [own()] }), []);
    const copied = assignment(pod(), identity('app/i', { object: { ...large, spec: { ...large.spec, replicas: null } } }), match.binding);
    assert.deepEqual(plan({ assignments: [copied] }), []);
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

  it('releases before it creates when an identity of another namespace takes over', () => {
    assert.deepEqual(plan({ matches: [foreign], assignments: [own()] }), ['release', 'create']);
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

describe('planAssignments with two identities of one name', () => {
  const both = [match, foreign];
  /** Created objects with their names, `plain` or `hash`, and released ones. */
  const names = (state: Partial<PodState>) =>
    planAssignments(podState(state), defaultRules).map((action) =>
      action.kind === 'create'
        ? `create ${action.match.identity.key} ${action.plain ? 'plain' : 'hash'}`
        : `${action.kind} ${'current' in action ? action.current.identityKey : ''}`,
    );

  it('creates both, and the own one gets the plain name', () => {
    assert.deepEqual(names({ matches: both }), ['create app/i plain', 'create team/i hash']);
  });

  it('gives the plain name to a foreign identity that is alone', () => {
    assert.deepEqual(names({ matches: [foreign] }), ['create team/i plain']);
  });

  it('leaves the object of the own identity as it is when a foreign one is bound', () => {
    assert.deepEqual(names({ matches: both, assignments: [own()] }), ['create team/i hash']);
  });

  it('takes the plain name from the foreign identity when an own one is bound', () => {
    const assignments = [objectOfForeign()];
    assert.deepEqual(names({ matches: both, assignments }), ['release team/i', 'create app/i plain', 'create team/i hash']);
  });

  it('needs the foreign identity on while its object gets another name', () => {
    const green = identity('team/i', { identityId: '/green' });
    const state = podState({ matches: [match, { ...foreign, identity: green }], assignments: [objectOfForeign()] });
    const { attached: needs } = needsOfPod(state, planAssignments(state, defaultRules));
    assert.deepEqual(needs.map(({ match: { identity: needed } }) => needed.key).slice(0, 2), ['app/i', 'team/i']);
  });

  it('leaves the foreign identity its plain name where no object can be created', () => {
    const assignments = [objectOfForeign()];
    assert.deepEqual(names({ pod: pod({ node: '' }), matches: both, assignments: [...assignments] }), []);
  });

  it('leaves the foreign identity its name where the own object lies elsewhere', () => {
    const namespaced = { ...match, identity: identity('app/i', { namespaced: true }) };
    const assignments = [objectOfForeign()];
    assert.deepEqual(names({ matches: [namespaced, foreign], assignments }), ['create app/i plain']);
  });

  it('leaves a foreign identity its name when another foreign one is bound before it', () => {
    const before: Match = { identity: identity('a/i'), binding: binding('a/b', 'i') };
    assert.deepEqual(names({ matches: [before, foreign], assignments: [objectOfForeign()] }), ['create a/i hash']);
  });
});

describe('planAssignments for a namespace with all the objects that it may have', () => {
  const fullNamespaces = new Set(['team']);

  it('refuses the foreign identity and creates the own one', () => {
    assert.deepEqual(plan({ matches: [match, foreign], fullNamespaces }), ['create', 'refuse']);
    assert.deepEqual(plan({ fullNamespaces: new Set(['app']) }), ['create'], 'the own namespace has no limit');
  });

  it('does not need the identity that it refuses', () => {
    const state = podState({ matches: [foreign], fullNamespaces });
    assert.deepEqual(needsOfPod(state, planAssignments(state, defaultRules)).attached, []);
  });

  it('keeps and renames the objects that are there', () => {
    assert.deepEqual(plan({ matches: [foreign], assignments: [objectOfForeign()], fullNamespaces }), []);
    assert.deepEqual(plan({ matches: [match, foreign], assignments: [objectOfForeign()], fullNamespaces }), [
      'release',
      'create',
      'create',
    ]);
  });
});
