// When a scope hears what pods need. That objects are written right is shown with the real API server in test/integration/controller.
import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import { silentLogger } from '../../lib/log.ts';
import type { AssignedIdentities } from './assigned-identities.ts';
import { runAssigner } from './assigner.ts';
import { createDemand } from './demand.ts';
import { heardEvents } from './testing/events.ts';
import { assignment, binding, identity, pod } from './testing/fixtures.ts';
import { testScope } from './testing/scope.ts';
import { fakeWorld } from './testing/world.ts';

const assigners: { stop(): Promise<void> }[] = [];
/** Lets the writes that hang end, so that the assigner can. */
let letGo: () => void = () => undefined;
afterEach(async () => {
  letGo();
  await Promise.all(assigners.splice(0).map((assigner) => assigner.stop()));
});

/** One identity, one binding and a node; every write to the API server hangs. */
function stuck() {
  const world = fakeWorld();
  const demand = createDemand();
  const hanging = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  const objects: AssignedIdentities = {
    create: () => hanging,
    update: () => hanging,
    mark: () => hanging,
    release: () => hanging,
  };
  const green = identity('app/green');
  const bound = binding('app/b', 'green');
  world.identities.put(green.key, green);
  world.bindings.put(bound.key, bound);
  world.nodes.put('n1', { name: 'n1', providerID: `azure://${testScope.id}/virtualMachines/0` });
  const assigner = runAssigner({
    world,
    demand,
    objects,
    events: heardEvents().events,
    log: silentLogger,
    rules: { forceNamespaced: false, assignUninjected: false },
    podIsGone: async () => true,
    concurrency: 1,
    onScope: () => undefined,
    onDoubt: () => undefined,
  });
  assigners.push(assigner);
  const put = (name: string) => {
    const made = pod({ key: `app/${name}`, name, uid: name });
    world.pods.put(made.key, made);
    return made;
  };
  return { world, green, bound, put, needed: () => demand.needsOf(testScope.id).map((need) => need.pod.name) };
}

describe('a scope hears', () => {
  it('of pods that come and go while the API server takes its time with others', () => {
    const { world, put, needed } = stuck();
    for (const name of ['a', 'b', 'c']) put(name);
    assert.deepEqual(needed(), ['a', 'b', 'c']);
    world.pods.remove('app/b');
    world.pods.put('app/c', { ...put('c'), finished: true });
    assert.deepEqual(needed(), ['a']);
  });

  it('that an unbound pod needs its identity until the object says no longer that it is assigned', () => {
    const { world, green, bound, put, needed } = stuck();
    const promised = assignment(put('a'), green, bound);
    world.assignments.put(promised.key, promised);
    world.bindings.remove(bound.key);
    assert.deepEqual(needed(), ['a']);
    world.assignments.put(promised.key, { ...promised, status: 'Unassigned' });
    assert.deepEqual(needed(), []);
  });

  it('that an identity which is changed in place is needed as it was until the object starts anew', () => {
    const { world, green, bound, put, needed } = stuck();
    const promised = assignment(put('a'), green, bound);
    world.assignments.put(promised.key, promised);
    const other = identity('app/green', {
      resourceID: green.resourceID.replace('green', 'blue'),
      identityId: green.identityId?.replace('green', 'blue'),
    });
    world.identities.put(green.key, { ...other, object: { ...other.object, spec: { type: 0, resourceID: other.resourceID } } });
    assert.deepEqual(needed(), ['a', 'a']);
    world.assignments.put(promised.key, { ...promised, status: 'Created' });
    assert.deepEqual(needed(), ['a']);
  });

  it('nothing of an object that was promised to the former pod of that name', () => {
    const { world, green, bound, put, needed } = stuck();
    const promised = assignment(put('a'), green, bound);
    world.assignments.put(promised.key, promised);
    world.bindings.remove(bound.key);
    world.pods.put('app/a', pod({ key: 'app/a', name: 'a', uid: 'another' }));
    assert.deepEqual(needed(), []);
  });
});
