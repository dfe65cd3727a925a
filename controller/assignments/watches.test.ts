import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { assignment } from '../../lib/identities/testing/fixtures.ts';
import { cluster, testNode } from './testing/fixtures.ts';
import { watchInputs } from './watches.ts';

function watched() {
  const caches = cluster();
  const added = caches.addPod('a');
  const current = assignment(added, caches.green, caches.bound);
  caches.informers.assignments.put(current.key, current);
  const calls: string[] = [];
  const stop = watchInputs(caches.informers, {
    onPod: (podKey) => calls.push(podKey),
    onAssignment: (podKey, reported) => calls.push(`${podKey} ${reported === undefined ? 'change' : 'report'}`),
  });
  return { ...caches, added, current, calls, stop };
}

describe('watchInputs', () => {
  it('reports a pod when itself, its binding or its identity changes', () => {
    const { informers, added, bound, green, calls } = watched();
    informers.pods.put(added.key, { ...added });
    informers.bindings.put(bound.key, { ...bound });
    informers.identities.put(green.key, { ...green });
    assert.deepEqual(calls, ['app/a', 'app/a', 'app/a']);
  });

  it('reports the pods of a node only when its providerID changes', () => {
    const { informers, calls } = watched();
    informers.nodes.put('n1', { ...testNode });
    assert.deepEqual(calls, []);
    informers.nodes.put('n1', { ...testNode, providerID: `${testNode.providerID}0` });
    assert.deepEqual(calls, ['app/a']);
  });

  it('reports both pods when somebody edits an object to name another pod', () => {
    const { informers, current, calls } = watched();
    informers.assignments.put(current.key, { ...current, podKey: 'app/other' });
    assert.deepEqual(calls, ['app/a change', 'app/other change']);
  });

  it('distinguishes the report of a sidecar from another change of an object', () => {
    const { informers, current, calls } = watched();
    const annotations = { ...current.metadata.annotations, 'aadpodidentity.k8s.io/reported-at': '2026-01-01T00:00:00Z' };
    informers.assignments.put(current.key, { ...current, metadata: { ...current.metadata, annotations } });
    informers.assignments.remove(current.key);
    assert.deepEqual(calls, ['app/a report', 'app/a change']);
  });

  it('reports nothing after it is stopped', () => {
    const { informers, added, current, calls, stop } = watched();
    stop();
    informers.pods.put(added.key, { ...added });
    informers.nodes.remove('n1');
    informers.assignments.remove(current.key);
    assert.deepEqual(calls, []);
  });
});
