// What scopes learn, and when, from real watches, plan and desired state over caches in memory.
import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import { createFakeClock } from '../../common/testing/fake-clock.ts';
import type { Identity } from '../../lib/identities/identity.ts';
import { fakeEvents } from '../../lib/identities/testing/events.ts';
import { assignment, binding, identity, pod } from '../../lib/identities/testing/fixtures.ts';
import { silentLogger } from '../../lib/log.ts';
import { startAssignments } from './controller.ts';
import { createDesiredState } from './desired-state.ts';
import { createFederatedNeeds } from './federated-needs.ts';
import { maxForeignAssignments } from './pod-state.ts';
import { attachRules, cluster, fakeClient, testNode, testScope } from './testing/fixtures.ts';

const scopeAnnotation = 'aadpodidentity.k8s.io/scope';
let stop: () => Promise<void> = async () => undefined;
afterEach(() => stop());

/** Every write to the API server hangs until the end of the test. */
function started(caches = cluster()) {
  const { promise: end, resolve } = Promise.withResolvers<void>();
  const hang = () => end;
  const desired = createDesiredState();
  const scopes: string[] = [];
  const federatedNeeds = createFederatedNeeds();
  const federated: string[] = [];
  const assignments = startAssignments({
    informers: caches.informers,
    desired,
    client: fakeClient({ create: hang, update: hang, updateStatus: hang, release: hang }),
    events: fakeEvents().events,
    log: silentLogger,
    clock: createFakeClock(),
    rules: { forceNamespaced: false, bindingNamespaces: [], assignUninjected: false, nodeEndpointDrivers: [], ...attachRules },
    isPodAbsent: async () => true,
    concurrency: 1,
    federatedNeeds,
    federation: {
      enqueue: (identityId) => federated.push(`enqueue ${identityId}`),
      refresh: (identityId) => federated.push(`refresh ${identityId}`),
    },
    scopes: { enqueue: (scopeId) => scopes.push(`enqueue ${scopeId}`), refresh: (scopeId) => scopes.push(`refresh ${scopeId}`) },
  });
  stop = () => {
    resolve();
    return assignments.stop();
  };
  return {
    ...caches,
    needed: () => desired.needsOf(testScope.id).map((need) => need.pod.name),
    /** Calls to the scopes since the last time. */
    calls: () => scopes.splice(0).map((call) => call.replace(testScope.id, 'set')),
    federatedNeeds,
    /** Calls to the federated identities since the last time. */
    federatedCalls: () => federated.splice(0).map((call) => call.replace(/\/subscriptions.*\//, '')),
  };
}

describe('startAssignments', () => {
  it('knows the needs of all pods at once when it starts', () => {
    const caches = cluster();
    for (const name of ['a', 'b', 'c']) caches.addPod(name);
    assert.deepEqual(started(caches).needed(), ['a', 'b', 'c']);
  });

  it('follows pods at once while writes for other pods hang', () => {
    const { informers, addPod, needed, calls } = started();
    for (const name of ['a', 'b', 'c']) addPod(name);
    assert.deepEqual(needed(), ['a', 'b', 'c']);
    assert.deepEqual(calls(), ['enqueue set', 'enqueue set', 'enqueue set']);
    informers.pods.remove('app/b');
    informers.pods.put('app/c', { ...addPod('c'), finished: true });
    assert.deepEqual(needed(), ['a']);
    assert.deepEqual(calls(), ['enqueue set', 'enqueue set']);
  });

  it('enqueues the scope when only metadata of the AzureIdentity changes', () => {
    const { informers, green, addPod, calls } = started();
    addPod('a');
    calls();
    const metadata = { ...green.object.metadata, resourceVersion: '2', labels: { retry: 'now' } };
    informers.identities.put(green.key, { ...green, object: { ...green.object, metadata } });
    assert.deepEqual(calls(), ['enqueue set']);
  });

  it('enqueues the scope when an object of one of its pods changes', () => {
    const { informers, green, bound, addPod, calls } = started();
    const current = assignment(addPod('a'), green, bound, { status: 'Created' });
    calls();
    informers.assignments.put(current.key, current);
    assert.deepEqual(calls(), ['enqueue set']);
  });

  it('refreshes the scope when a sidecar reports that IMDS disagrees', () => {
    const { informers, green, bound, addPod, calls } = started();
    const current = assignment(addPod('a'), green, bound);
    informers.assignments.put(current.key, current);
    calls();
    const annotations = { ...current.metadata.annotations, 'aadpodidentity.k8s.io/reported-at': '2026-01-01T00:00:00Z' };
    informers.assignments.put(current.key, { ...current, metadata: { ...current.metadata, annotations } });
    assert.deepEqual(calls(), ['refresh set']);
  });

  it('needs the identity of an unbound pod until its object is no longer Assigned', () => {
    const { informers, green, bound, addPod, needed } = started();
    const assigned = assignment(addPod('a'), green, bound);
    informers.assignments.put(assigned.key, assigned);
    informers.bindings.remove(bound.key);
    assert.deepEqual(needed(), ['a']);
    informers.assignments.put(assigned.key, { ...assigned, status: 'Unassigned' });
    assert.deepEqual(needed(), []);
  });

  it('needs a changed identity also as it was until its object restarts', () => {
    const { informers, green, bound, addPod, needed } = started();
    const assigned = assignment(addPod('a'), green, bound);
    informers.assignments.put(assigned.key, assigned);
    const blue = identity('app/green', {
      resourceID: green.resourceID.replace('green', 'blue'),
      identityId: green.identityId?.replace('green', 'blue'),
    });
    informers.identities.put(green.key, { ...blue, object: { ...blue.object, spec: { type: 0, resourceID: blue.resourceID } } });
    assert.deepEqual(needed(), ['a', 'a']);
    informers.assignments.put(assigned.key, { ...assigned, status: 'Created' });
    assert.deepEqual(needed(), ['a']);
  });

  it('needs nothing for an object that was assigned to a former pod of the name', () => {
    const { informers, green, bound, addPod, needed } = started();
    const assigned = assignment(addPod('a'), green, bound);
    informers.assignments.put(assigned.key, assigned);
    informers.bindings.remove(bound.key);
    informers.pods.put('app/a', pod({ key: 'app/a', name: 'a', uid: 'another' }));
    assert.deepEqual(needed(), []);
  });

  it('keeps the needs of a pod whose Node is gone on the scope that its object names', () => {
    const { informers, green, bound, addPod, needed } = started();
    const assigned = assignment(addPod('a'), green, bound);
    const annotations = { ...assigned.metadata.annotations, [scopeAnnotation]: testScope.displayId };
    informers.assignments.put(assigned.key, { ...assigned, metadata: { ...assigned.metadata, annotations } });
    informers.nodes.remove('n1');
    assert.deepEqual(needed(), ['a']);
    informers.pods.remove('app/a');
    assert.deepEqual(needed(), []);
  });

  it('needs nothing on the former scope for a pod of the same name on an unknown node', () => {
    const { informers, green, bound, addPod, needed } = started();
    const assigned = assignment(addPod('a'), green, bound);
    const annotations = { ...assigned.metadata.annotations, [scopeAnnotation]: testScope.displayId };
    informers.assignments.put(assigned.key, { ...assigned, metadata: { ...assigned.metadata, annotations } });
    informers.pods.put('app/a', pod({ key: 'app/a', name: 'a', uid: 'a', node: 'n2' }));
    assert.deepEqual(needed(), []);
  });

  it('needs nothing any more for a pod whose object the limit of a namespace refuses', async () => {
    const { informers, addPod, needed } = started();
    const foreign = identity('team/shared');
    const bound = binding('team/b', 'shared', 'shared');
    informers.identities.put(foreign.key, foreign);
    informers.bindings.put(bound.key, bound);
    informers.pods.put('app/a', { ...addPod('a'), selector: 'shared' });
    assert.deepEqual(needed(), ['a'], 'the limit is not reached yet');
    for (let index = 0; index < maxForeignAssignments; index += 1) {
      const held = assignment(pod({ key: `app/p${index}`, name: `p${index}` }), foreign, bound, { key: `default/p${index}` });
      informers.assignments.put(held.key, held);
    }
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(needed(), []);
  });

  it('moves the needs of a pod when the providerID of its node changes', () => {
    const { informers, addPod, needed } = started();
    addPod('a');
    informers.nodes.put('n1', { ...testNode, providerID: testNode.providerID.replace('/set/', '/other/') });
    assert.deepEqual(needed(), []);
  });

  it('gives the needs of federated identities to them, on a node without a scope too', () => {
    const { informers, addPod, green, needed, federatedCalls, calls } = started();
    informers.nodes.put('n1', { name: 'n1', providerID: 'kind://docker/kind' });
    calls();
    federate(informers, green);
    addPod('a');
    assert.deepEqual([needed(), calls()], [[], []]);
    assert.deepEqual(federatedCalls(), ['enqueue green']);
  });

  it('refreshes the federated identity that a report is about, and not the scope', () => {
    const { informers, addPod, green, bound, federatedCalls, calls } = started();
    federate(informers, green);
    const added = addPod('a');
    const written = assignment(added, green, bound);
    const put = (annotations: Record<string, string>) =>
      informers.assignments.put(written.key, {
        ...written,
        metadata: {
          ...written.metadata,
          annotations: { ...written.metadata.annotations, [scopeAnnotation]: green.resourceID, ...annotations },
        },
      });
    put({});
    federatedCalls();
    calls();
    put({ 'aadpodidentity.k8s.io/reported-at': '2026-01-01T00:00:00Z' });
    assert.deepEqual(federatedCalls(), ['refresh green']);
    assert.deepEqual(calls(), []);
  });
});

function federate(informers: ReturnType<typeof cluster>['informers'], given: Identity): void {
  const { object } = given;
  const metadata = { ...object.metadata, annotations: { 'aadpodidentity.k8s.io/assignment': 'federate' } };
  informers.identities.put(given.key, { ...given, object: { ...object, metadata } });
}
