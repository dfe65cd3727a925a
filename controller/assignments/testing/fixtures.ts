import assert from 'node:assert/strict';
import type { Scope } from '../../../lib/azure/resource-ids.ts';
import { scopeOfId } from '../../../lib/azure/resource-ids.ts';
import type { Match } from '../../../lib/identities/match.ts';
import type { Need } from '../../../lib/identities/need.ts';
import type { IdentityPolicy } from '../../../lib/identities/policy.ts';
import { binding, identity, pod } from '../../../lib/identities/testing/fixtures.ts';
import { fakeInformers } from '../../../lib/identities/testing/informers.ts';
import type { AssignmentClient } from '../client.ts';
import type { PodState } from '../pod-state.ts';

/** Identities are attached unless they are annotated. */
export const attachRules = { azureScopes: [], assignment: 'attach', assignmentOverrides: [] } as const;

export function scopeNamed(name: string): Scope {
  const scope = scopeOfId(`/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachineScaleSets/${name}`);
  assert.ok(scope);
  return scope;
}

/** The scope of node `n1`, on which pods of the fixtures run. */
export const testScope = scopeNamed('set');
export const testNode = { name: 'n1', providerID: `azure://${testScope.displayId}/virtualMachines/0` };

/** Binding `app/b` gives pods the identity `app/<name>`. */
export const matchOf = (name: string): Match => ({ identity: identity(`app/${name}`), binding: binding('app/b', name) });

export function needOf(podName: string, identityName: string): Need {
  const match = matchOf(identityName);
  const { identityId } = match.identity;
  assert.ok(identityId !== undefined);
  return { pod: pod({ key: `app/${podName}`, name: podName, uid: `uid-${podName}` }), match, identityId };
}

/** A pod that identity `app/i` matches and that has no object yet. */
export const podState = (overrides: Partial<PodState> = {}): PodState => ({
  pod: pod(),
  matches: [matchOf('i')],
  fullNamespaces: new Set(),
  notAllowed: new Set(),
  excepted: false,
  federated: new Set(),
  assignments: [],
  scope: testScope,
  providerID: testNode.providerID,
  ...overrides,
});

/** Caches with node `n1`, identity `app/green` and the binding that gives it to pods of the fixtures. */
export function cluster(policy?: IdentityPolicy) {
  const informers = fakeInformers(undefined, policy);
  const { identity: green, binding: bound } = matchOf('green');
  informers.identities.put(green.key, green);
  informers.bindings.put(bound.key, bound);
  informers.nodes.put(testNode.name, testNode);
  return {
    informers,
    green,
    bound,
    /** Adds a pod to its cache. */
    addPod(name: string, uid = name) {
      const added = pod({ key: `app/${name}`, name, uid });
      informers.pods.put(added.key, added);
      return added;
    },
  };
}

/** A client whose methods succeed and do nothing, but for those that are given. */
export const fakeClient = (methods: Partial<AssignmentClient> = {}): AssignmentClient => ({
  create: async () => undefined,
  update: async () => undefined,
  updateStatus: async () => undefined,
  release: async () => undefined,
  ...methods,
});
