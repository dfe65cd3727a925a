import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Need } from '../../lib/identities/need.ts';
import { assignment, pod } from '../../lib/identities/testing/fixtures.ts';
import { needsOfPod } from './needs.ts';
import { planAssignments } from './plan.ts';
import type { PodState } from './pod-state.ts';
import { matchOf, podState, testScope } from './testing/fixtures.ts';

const match = matchOf('i');
const own = (status: string) => assignment(pod(), match.identity, match.binding, { status });

/** Ids of the identities that the pod needs with the plan for this state. */
function needs(overrides: Partial<PodState>): string[] {
  const state = podState(overrides);
  const { attached, federated } = needsOfPod(
    state,
    planAssignments(state, { forceNamespaced: false, assignUninjected: false, nodeEndpointDrivers: [] }),
  );
  assert.deepEqual(federated, []);
  return attached.map(({ match }) => match.identity.key);
}

describe('needsOfPod', () => {
  it('includes an identity that has an object or gets one', () => {
    assert.deepEqual(needs({}), ['app/i']);
    assert.deepEqual(needs({ assignments: [own('Created')] }), ['app/i']);
  });

  it('leaves out an identity that identityPolicy does not allow', () => {
    const notAllowed = new Set(['app/i']);
    assert.deepEqual(needs({ notAllowed }), []);
    assert.deepEqual(needs({ notAllowed, assignments: [own('Created')] }), []);
  });

  it('keeps a refused identity until its object is no longer Assigned', () => {
    assert.deepEqual(needs({ notAllowed: new Set(['app/i']), assignments: [own('Assigned')] }), ['app/i']);
  });

  it('is empty for a mirror pod, but for what an object says is Assigned', () => {
    const mirror = pod({ mirror: true, hostNetwork: true });
    assert.deepEqual(needs({ pod: mirror }), []);
    assert.deepEqual(needs({ pod: mirror, assignments: [own('Created')] }), []);
    assert.deepEqual(needs({ pod: mirror, assignments: [own('Assigned')] }), ['app/i']);
  });

  /** Keys and whether they are only kept, on the scope and as federated identities. */
  function sides(overrides: Partial<PodState>): { attached: string[]; federated: string[] } {
    const state = podState(overrides);
    const { attached, federated } = needsOfPod(
      state,
      planAssignments(state, { forceNamespaced: false, assignUninjected: false, nodeEndpointDrivers: [] }),
    );
    const textOf = ({ match, keepOnly }: Need) => `${match.identity.key}${keepOnly === true ? ' kept' : ''}`;
    return { attached: attached.map(textOf), federated: federated.map(textOf) };
  }
  const federated = new Set(['app/i']);
  const scoped = (scope: string, status = 'Assigned') => {
    const made = own(status);
    return { ...made, metadata: { ...made.metadata, annotations: { ...made.metadata.annotations, 'aadpodidentity.k8s.io/scope': scope } } };
  };

  it('needs a federated identity apart from the scope, on any node', () => {
    for (const scope of ['pending', 'unsupported', 'outside', testScope] as const)
      assert.deepEqual(sides({ federated, scope }), { attached: [], federated: ['app/i'] });
  });

  it('keeps what is attached until the object is federated', () => {
    assert.deepEqual(sides({ federated, assignments: [scoped(testScope.id)] }), { attached: ['app/i kept'], federated: ['app/i'] });
    assert.deepEqual(sides({ federated, assignments: [scoped(match.identity.resourceID)] }), { attached: [], federated: ['app/i'] });
  });

  it('keeps the credential until the object is attached again', () => {
    assert.deepEqual(sides({ assignments: [scoped(match.identity.resourceID)] }), { attached: ['app/i'], federated: ['app/i kept'] });
    assert.deepEqual(sides({ assignments: [scoped(testScope.id)] }), { attached: ['app/i'], federated: [] });
  });

  it('keeps a federated object that is to be attached outside azureScopes as it is', () => {
    const assignments = [scoped(match.identity.resourceID)];
    assert.deepEqual(sides({ scope: 'outside', assignments }).federated, ['app/i kept']);
  });
});
