// When a scope hears what pods need, and what an object is called. That objects are written right is shown with the real API server in test/integration/controller.
import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { assignedIdentityFinalizer } from '../../api/names.ts';
import { heardEvents } from '../../lib/identities/testing/events.ts';
import { assignment, binding, identity, pod } from '../../lib/identities/testing/fixtures.ts';
import { fakeInformers } from '../../lib/identities/testing/informers.ts';
import { silentLogger } from '../../lib/log.ts';
import { testScope } from '../scopes/testing/scope.ts';
import type { AssignedIdentities } from './client.ts';
import { createDemand } from './desired-state.ts';
import { runAssigner } from './reconciler.ts';

const assigners: { stop(): Promise<void> }[] = [];
/** Lets the writes that hang end, so that the assigner can. */
let letGo: () => void = () => undefined;
afterEach(async () => {
  letGo();
  await Promise.all(assigners.splice(0).map((assigner) => assigner.stop()));
});

/** One identity, one binding and a node. */
function setting() {
  const informers = fakeInformers();
  const green = identity('app/green');
  const bound = binding('app/b', 'green');
  const node = { name: 'n1', providerID: `azure://${testScope.id}/virtualMachines/0` };
  informers.identities.put(green.key, green);
  informers.bindings.put(bound.key, bound);
  informers.nodes.put(node.name, node);
  const put = (name: string, uid = name) => {
    const made = pod({ key: `app/${name}`, name, uid });
    informers.pods.put(made.key, made);
    return made;
  };
  return { informers, green, bound, node, put };
}

/** The assigner in that setting; every write to the API server hangs but those that are given. */
function assigning({ informers }: ReturnType<typeof setting>, writes: Partial<AssignedIdentities> = {}) {
  const demand = createDemand();
  const { promise: hanging, resolve } = Promise.withResolvers<void>();
  letGo = resolve;
  let asked = 0;
  const assigner = runAssigner({
    informers,
    demand: {
      ...demand,
      set(...args) {
        asked += 1;
        return demand.set(...args);
      },
    },
    objects: { create: () => hanging, update: () => hanging, updateStatus: () => hanging, release: () => hanging, ...writes },
    events: heardEvents().events,
    log: silentLogger,
    rules: { forceNamespaced: false, assignUninjected: false },
    podIsGone: async () => true,
    concurrency: 1,
    onScope: () => undefined,
    onDoubt: () => undefined,
  });
  assigners.push(assigner);
  return {
    needed: () => demand.needsOf(testScope.id).map((need) => need.pod.name),
    /** How often it was thought about what some pod needs. */
    get asked() {
      return asked;
    },
  };
}

function stuck() {
  const parts = setting();
  return { ...parts, ...assigning(parts) };
}

describe('a scope hears', () => {
  it('of pods that come and go while the API server takes its time with others', () => {
    const { informers, put, needed } = stuck();
    for (const name of ['a', 'b', 'c']) put(name);
    assert.deepEqual(needed(), ['a', 'b', 'c']);
    informers.pods.remove('app/b');
    informers.pods.put('app/c', { ...put('c'), finished: true });
    assert.deepEqual(needed(), ['a']);
  });

  it('that an unbound pod needs its identity until the object says no longer that it is assigned', () => {
    const { informers, green, bound, put, needed } = stuck();
    const promised = assignment(put('a'), green, bound);
    informers.assignments.put(promised.key, promised);
    informers.bindings.remove(bound.key);
    assert.deepEqual(needed(), ['a']);
    informers.assignments.put(promised.key, { ...promised, status: 'Unassigned' });
    assert.deepEqual(needed(), []);
  });

  it('that an identity which is changed in place is needed as it was until the object starts anew', () => {
    const { informers, green, bound, put, needed } = stuck();
    const promised = assignment(put('a'), green, bound);
    informers.assignments.put(promised.key, promised);
    const other = identity('app/green', {
      resourceID: green.resourceID.replace('green', 'blue'),
      identityId: green.identityId?.replace('green', 'blue'),
    });
    informers.identities.put(green.key, { ...other, object: { ...other.object, spec: { type: 0, resourceID: other.resourceID } } });
    assert.deepEqual(needed(), ['a', 'a']);
    informers.assignments.put(promised.key, { ...promised, status: 'Created' });
    assert.deepEqual(needed(), ['a']);
  });

  it('nothing of an object that was promised to the former pod of that name', () => {
    const { informers, green, bound, put, needed } = stuck();
    const promised = assignment(put('a'), green, bound);
    informers.assignments.put(promised.key, promised);
    informers.bindings.remove(bound.key);
    informers.pods.put('app/a', pod({ key: 'app/a', name: 'a', uid: 'another' }));
    assert.deepEqual(needed(), []);
  });

  it('that a pod whose Node object went needs what its object says that the scope has given it', () => {
    const { informers, green, bound, put, needed } = stuck();
    const promised = assignment(put('a'), green, bound);
    const noted = { ...promised.metadata.annotations, 'aadpodidentity.k8s.io/scope': testScope.displayId };
    informers.assignments.put(promised.key, { ...promised, metadata: { ...promised.metadata, annotations: noted } });
    informers.nodes.remove('n1');
    assert.deepEqual(needed(), ['a']);
    informers.pods.remove('app/a');
    assert.deepEqual(needed(), []);
  });

  it('nothing of a pod whose unknown node is another than the one that its object was for', () => {
    const { informers, green, bound, needed } = stuck();
    const moved = pod({ key: 'app/a', name: 'a', uid: 'a', node: 'n2' });
    const promised = assignment(moved, green, bound, { node: 'n1' });
    const noted = { ...promised.metadata.annotations, 'aadpodidentity.k8s.io/scope': testScope.displayId };
    informers.assignments.put(promised.key, { ...promised, metadata: { ...promised.metadata, annotations: noted } });
    informers.pods.put(moved.key, moved);
    assert.deepEqual(needed(), []);
  });

  it('nothing of a heartbeat of a node', () => {
    const parts = setting();
    parts.put('a');
    const assigner = assigning(parts);
    const { asked } = assigner;
    parts.informers.nodes.put('n1', { ...parts.node });
    assert.equal(assigner.asked, asked);
    parts.informers.nodes.put('n1', { ...parts.node, providerID: parts.node.providerID.replace('/0', '/1') });
    assert.equal(assigner.asked, asked + 1);
  });
});

describe('an object is made', () => {
  /** Where the first object that is created is put, and for which pod. */
  function firstCreated(parts: ReturnType<typeof setting>) {
    const { promise, resolve } = Promise.withResolvers<[pod: string, key: string]>();
    assigning(parts, {
      release: async () => undefined,
      create: async (of, _match, name, namespace) => resolve([of.key, `${namespace}/${name}`]),
    });
    return promise;
  }

  it('anew for the pod that one was for which somebody edited to be for another', async () => {
    const parts = setting();
    const made = assignment(parts.put('a'), parts.green, parts.bound);
    parts.informers.assignments.put(made.key, made);
    const created = firstCreated(parts);
    // Nothing is due until the edit: all work of the start ends without a timer.
    await setImmediate();
    parts.informers.assignments.put(made.key, { ...made, podKey: 'app/other' });
    const [podKey] = await created;
    assert.equal(podKey, 'app/a');
  });

  const finalizers: [string, string, RegExp][] = [
    ['beside that of the former pod which a finalizer of somebody else holds', 'example.com/theirs', /^default\/a-app-green-[0-9a-f]{10}$/],
    ['in place of that of the former pod which goes away', assignedIdentityFinalizer, /^default\/a-app-green$/],
  ];
  for (const [where, finalizer, expected] of finalizers)
    it(where, async () => {
      const parts = setting();
      const former = pod({ key: 'app/a', name: 'a', uid: 'former' });
      const old = assignment(former, parts.green, parts.bound, { status: 'Unassigned' });
      old.metadata.deletionTimestamp = '2026-01-01T00:00:00Z';
      old.metadata.finalizers = [finalizer];
      parts.informers.assignments.put(old.key, old);
      parts.put('a', 'next');
      const [podKey, key] = await firstCreated(parts);
      assert.equal(podKey, 'app/a');
      assert.match(key, expected);
    });
});
