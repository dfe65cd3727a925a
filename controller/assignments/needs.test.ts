import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { assignment, pod } from '../../lib/identities/testing/fixtures.ts';
import { needsOfPod } from './needs.ts';
import { planAssignments } from './plan.ts';
import type { PodState } from './pod-state.ts';
import { matchOf, podState } from './testing/fixtures.ts';

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
});
