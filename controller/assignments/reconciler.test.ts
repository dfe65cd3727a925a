import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { assignedIdentityFinalizer } from '../../api/names.ts';
import { createFakeClock } from '../../common/testing/fake-clock.ts';
import { maxForeignMatches } from '../../lib/identities/match.ts';
import { fakeEvents } from '../../lib/identities/testing/events.ts';
import { assignment, binding, federationRecord, identity, pod } from '../../lib/identities/testing/fixtures.ts';
import { KubeError } from '../../lib/kube/errors.ts';
import { silentLogger } from '../../lib/log.ts';
import type { AssignmentClient } from './client.ts';
import { maxForeignAssignments } from './pod-state.ts';
import { createAssignmentReconciler } from './reconciler.ts';
import { attachRules, cluster, fakeClient } from './testing/fixtures.ts';

/** A reconciler over these caches. `calls`: what it wrote, as `create default/a-app-green`. */
function reconcilerFor({ informers }: ReturnType<typeof cluster>, methods: Partial<AssignmentClient> = {}, isPodAbsent = true) {
  const calls: string[] = [];
  const { events, list } = fakeEvents();
  const reconcile = createAssignmentReconciler({
    informers,
    client: fakeClient({
      create: async (_pod, _match, name, namespace) => void calls.push(`create ${namespace}/${name}`),
      update: async (_pod, _match, current, restart) => void calls.push(`update ${current.key}${restart ? ' restart' : ''}`),
      updateStatus: async (current, status, { reason }) => void calls.push(`status ${current.key} ${status ?? reason}`),
      release: async (current) => void calls.push(`release ${current.key}`),
      ...methods,
    }),
    events,
    log: silentLogger,
    clock: createFakeClock(),
    rules: { forceNamespaced: false, bindingNamespaces: [], assignUninjected: false, nodeEndpointDrivers: [], ...attachRules },
    isPodAbsent: async () => isPodAbsent,
  });
  const signal = new AbortController().signal;
  return { reconcile: (podKey: string) => reconcile(podKey, { signal }), calls, events: list };
}

const fail = (message: string) => async () => {
  throw new KubeError(500, '', message);
};

describe('assignment reconciler', () => {
  it('creates an object for each identity of a pod', async () => {
    const caches = cluster();
    const blue = identity('app/blue');
    caches.informers.identities.put(blue.key, blue);
    caches.informers.bindings.put('app/c', binding('app/c', 'blue'));
    caches.addPod('a');
    const { reconcile, calls } = reconcilerFor(caches);
    assert.deepEqual(await reconcile('app/a'), { done: false });
    assert.deepEqual(calls, ['create default/a-app-green', 'create default/a-app-blue']);
  });

  it('is done with a pod that is gone and has no objects', async () => {
    assert.deepEqual(await reconcilerFor(cluster()).reconcile('app/a'), { done: true });
  });

  it('reports every failed write, those of statuses too', async () => {
    const caches = cluster();
    const { informers, green, bound } = caches;
    const added = caches.addPod('a');
    const blue = identity('app/blue');
    informers.identities.put(blue.key, blue);
    informers.bindings.put('app/c', binding('app/c', 'blue'));
    const odd = identity('app/odd', { type: undefined });
    informers.identities.put(odd.key, odd);
    informers.bindings.put('app/d', binding('app/d', 'odd'));
    const blocked = assignment(added, odd, binding('app/d', 'odd'), { key: 'default/a-app-odd', status: 'Created' });
    informers.assignments.put(blocked.key, blocked);
    const former = assignment(pod({ key: 'app/a', name: 'a', uid: 'former' }), green, bound, { key: 'default/former' });
    informers.assignments.put(former.key, former);
    const { reconcile } = reconcilerFor(caches, {
      create: (_pod, match) => fail(`create ${match.identity.name}`)(),
      updateStatus: fail('status'),
      release: fail('release'),
    });
    await assert.rejects(reconcile('app/a'), (error) => {
      assert.ok(error instanceof AggregateError);
      assert.deepEqual(error.errors.map((each: unknown) => (each instanceof Error ? each.message : each)).sort(), [
        'create blue',
        'create green',
        'release',
        'status',
      ]);
      return true;
    });
  });

  it('releases an object once while the cache still holds it', async () => {
    const caches = cluster();
    const { informers, green, bound } = caches;
    const current = assignment(caches.addPod('a'), green, bound);
    informers.assignments.put(current.key, current);
    const { reconcile, calls } = reconcilerFor(caches);
    await reconcile('app/a');
    informers.pods.remove('app/a');
    await reconcile('app/a');
    informers.assignments.put(current.key, { ...current, status: 'Unassigned' });
    assert.deepEqual(await reconcile('app/a'), { done: false });
    assert.deepEqual(calls, [`release ${current.key}`]);
    informers.assignments.remove(current.key);
    assert.deepEqual(await reconcile('app/a'), { done: true });
  });

  it('releases the next object of the same name after a release', async () => {
    const caches = cluster();
    const { informers, green, bound } = caches;
    const current = assignment(caches.addPod('a'), green, bound);
    informers.pods.remove('app/a');
    const { reconcile, calls } = reconcilerFor(caches);
    for (const uid of ['first', 'second']) {
      informers.assignments.put(current.key, { ...current, metadata: { ...current.metadata, uid } });
      await reconcile('app/a');
    }
    assert.deepEqual(calls, [`release ${current.key}`, `release ${current.key}`]);
  });

  it('releases an object again after a release that failed', async () => {
    const caches = cluster();
    const current = assignment(pod({ key: 'app/a', name: 'a' }), caches.green, caches.bound);
    caches.informers.assignments.put(current.key, current);
    let attempts = 0;
    const { reconcile } = reconcilerFor(caches, {
      async release() {
        attempts += 1;
        if (attempts === 1) throw new KubeError(500, '', 'once');
      },
    });
    await assert.rejects(reconcile('app/a'));
    await reconcile('app/a');
    assert.equal(attempts, 2);
  });

  it('keeps the object of a pod that the API server has and the cache lacks', async () => {
    const caches = cluster();
    const current = assignment(pod({ key: 'app/a', name: 'a' }), caches.green, caches.bound);
    caches.informers.assignments.put(current.key, current);
    const { reconcile, calls } = reconcilerFor(caches, {}, false);
    await reconcile('app/a');
    assert.deepEqual(calls, []);
  });

  it('keeps the object of a new pod while the cache knows the former one only', async () => {
    const caches = cluster();
    const { informers, green, bound } = caches;
    caches.addPod('a', 'former');
    const { reconcile, calls } = reconcilerFor(caches, {}, false);
    await reconcile('app/a');
    informers.pods.remove('app/a');
    const next = assignment(pod({ key: 'app/a', name: 'a', uid: 'next' }), green, bound);
    informers.assignments.put(next.key, next);
    calls.length = 0;
    await reconcile('app/a');
    assert.deepEqual(calls, []);
  });

  it('does not ask the API server about a pod that it saw leave the cache', async () => {
    const caches = cluster();
    const current = assignment(caches.addPod('a'), caches.green, caches.bound);
    caches.informers.assignments.put(current.key, current);
    const { reconcile, calls } = reconcilerFor(caches, {}, false);
    await reconcile('app/a');
    caches.informers.pods.remove('app/a');
    await reconcile('app/a');
    assert.deepEqual(calls, [`release ${current.key}`]);
  });

  const heldNames: [string, string, RegExp][] = [
    [
      'creates an object beside one that a finalizer of somebody else holds',
      'example.com/theirs',
      /^create default\/a-app-green-[0-9a-f]{10}$/,
    ],
    ['creates an object under the name of one that goes away', assignedIdentityFinalizer, /^create default\/a-app-green$/],
  ];
  for (const [title, finalizer, expected] of heldNames)
    it(title, async () => {
      const caches = cluster();
      const former = pod({ key: 'app/a', name: 'a', uid: 'former' });
      const old = assignment(former, caches.green, caches.bound, { status: 'Unassigned' });
      old.metadata.deletionTimestamp = '2026-01-01T00:00:00Z';
      old.metadata.finalizers = [finalizer];
      caches.informers.assignments.put(old.key, old);
      caches.addPod('a', 'next');
      const { reconcile, calls } = reconcilerFor(caches);
      await reconcile('app/a');
      assert.match(calls.at(-1) ?? '', expected);
    });

  it('records NoBinding for an injected pod that nothing matches', async () => {
    const caches = cluster();
    caches.informers.bindings.remove(caches.bound.key);
    caches.addPod('a');
    const { reconcile, events } = reconcilerFor(caches);
    await reconcile('app/a');
    assert.deepEqual(
      events.map(({ kind, name, type, reason }) => [kind, name, type, reason]),
      [['Pod', 'a', 'Warning', 'NoBinding']],
    );
  });

  it('names in the NoBinding Event a binding that the label of the pod may mean', async () => {
    const caches = cluster();
    caches.informers.bindings.remove(caches.bound.key);
    caches.informers.bindings.put('app/near', binding('app/near', 'green', 'SEL'));
    caches.addPod('a');
    const { reconcile, events } = reconcilerFor(caches);
    await reconcile('app/a');
    assert.match(events[0]?.message ?? '', /AzureIdentityBinding app\/near has the selector 'SEL'/);
  });

  it('creates both objects where identities of two namespaces have one name', async () => {
    const caches = cluster();
    const { informers, green } = caches;
    const foreign = identity('team/green');
    informers.identities.put(foreign.key, foreign);
    informers.bindings.put('team/b', binding('team/b', 'green'));
    const added = caches.addPod('a');
    const { reconcile, calls } = reconcilerFor(caches);
    await reconcile('app/a');
    assert.match(calls.join(), /^create default\/a-app-green,create default\/a-app-green-[0-9a-f]{10}$/);
    const plain = assignment(added, green, caches.bound, { key: 'default/a-app-green', name: 'a-app-green' });
    informers.assignments.put(plain.key, plain);
    calls.length = 0;
    await reconcile('app/a');
    assert.match(calls.join(), /^create default\/a-app-green-[0-9a-f]{10}$/);
  });

  it('records on each binding beyond the limit of a pod why it gives nothing', async () => {
    const caches = cluster();
    for (let index = 0; index <= maxForeignMatches; index += 1) {
      const name = `i${index}`;
      const uid = String(index).padStart(3, '0');
      caches.informers.identities.put(`team/${name}`, identity(`team/${name}`));
      caches.informers.bindings.put(`team/${name}`, binding(`team/${name}`, name, 'sel', { uid }));
    }
    caches.addPod('a');
    const { reconcile, calls, events } = reconcilerFor(caches);
    await reconcile('app/a');
    assert.equal(calls.length, 1 + maxForeignMatches);
    const limited = events.filter(({ reason }) => reason === 'ForeignBindingLimit');
    assert.deepEqual(
      limited.map(({ kind, name, type }) => [kind, name, type]),
      [['AzureIdentityBinding', `i${maxForeignMatches}`, 'Warning']],
    );
    assert.match(limited[0]?.message ?? '', /32 identities of other namespaces/);
    assert.doesNotMatch(limited[0]?.message ?? '', /app/, 'the message says nothing of the namespace of the pod');
  });

  it('creates nothing for other namespaces beyond the limit of a namespace', async () => {
    const caches = cluster();
    const { informers } = caches;
    const foreign = identity('team/shared');
    const bound = binding('team/b', 'shared');
    informers.identities.put(foreign.key, foreign);
    informers.bindings.put(bound.key, bound);
    for (let index = 0; index < maxForeignAssignments; index += 1) {
      const held = assignment(pod({ key: `app/p${index}`, name: `p${index}` }), foreign, bound, { key: `default/p${index}` });
      informers.assignments.put(held.key, held);
    }
    caches.addPod('a');
    const { reconcile, calls, events } = reconcilerFor(caches);
    assert.deepEqual(await reconcile('app/a'), { requeueAfterMs: 60_000 });
    assert.deepEqual(calls, ['create default/a-app-green'], 'the own identity is not limited');
    assert.deepEqual(
      events.map(({ name, reason }) => `${name} ${reason}`),
      ['b ForeignBindingLimit'],
    );
    informers.assignments.remove('default/p0');
    await reconcile('app/a');
    assert.equal(calls.at(-1), 'create default/a-app-shared');
  });

  it('names no binding of another namespace in the NoBinding Event of a pod', async () => {
    const caches = cluster();
    const { informers } = caches;
    informers.bindings.remove(caches.bound.key);
    informers.bindings.put('team/b', binding('team/b', 'gone'));
    informers.bindings.put('team/near', binding('team/near', 'gone', 'SEL'));
    caches.addPod('a');
    const { reconcile, events } = reconcilerFor(caches);
    await reconcile('app/a');
    assert.deepEqual(
      events.map(({ kind, name, reason }) => `${kind} ${name} ${reason}`),
      ['Pod a NoBinding', 'AzureIdentityBinding b binding apply error'],
    );
    assert.doesNotMatch(events[0]?.message ?? '', /team/);
  });

  it('judges type 3 by the managed identities that its client id is recorded with', async () => {
    const named = { clientIDs: ['client-app'], tenantIDs: ['tenant'] };
    const caches = cluster([named, { resourceIDs: ['/subscriptions/s/resourceGroups/g/**'] }]);
    const { informers, addPod } = caches;
    const app = identity('app/app', { type: 3, clientID: 'client-app', tenantID: 'tenant', identityId: undefined });
    informers.identities.put(app.key, app);
    informers.bindings.put('app/c', binding('app/c', 'app'));
    const changed: string[] = [];
    informers.matches.onChange((podKey) => changed.push(podKey));
    const added = addPod('a');
    const made = assignment(added, app, binding('app/c', 'app'), { key: 'default/a-app-app', status: 'Created' });
    informers.assignments.put(made.key, made);
    const { reconcile, calls } = reconcilerFor(caches);
    await reconcile('app/a');
    assert.deepEqual(calls.splice(0), ['create default/a-app-green', 'status default/a-app-app Assigned']);
    changed.length = 0;
    informers.federationRecords.put('aad/r', federationRecord({ clientId: 'CLIENT-APP', identity: '/subscriptions/of-others' }));
    assert.deepEqual(changed, ['app/a']);
    await reconcile('app/a');
    assert.deepEqual(calls, ['create default/a-app-green', 'status default/a-app-app IdentityNotAllowed']);
  });

  it('records on identity, binding and pod that the policy does not allow an identity', async () => {
    const caches = cluster([]);
    const current = assignment(caches.addPod('a'), caches.green, caches.bound, { status: 'Created' });
    caches.informers.assignments.put(current.key, current);
    const { reconcile, calls, events } = reconcilerFor(caches);
    await reconcile('app/a');
    assert.deepEqual(calls, [`status ${current.key} IdentityNotAllowed`]);
    assert.deepEqual(
      events.map(({ kind, type, reason }) => `${kind} ${type} ${reason}`),
      ['AzureIdentityBinding Warning binding apply error', 'AzureIdentity Warning IdentityNotAllowed', 'Pod Warning IdentityNotAllowed'],
    );
  });

  it('records nothing about a mirror pod', async () => {
    const caches = cluster();
    const mirror = { ...caches.addPod('a'), mirror: true };
    caches.informers.pods.put(mirror.key, mirror);
    caches.informers.bindings.remove(caches.bound.key);
    const { reconcile, calls, events } = reconcilerFor(caches);
    await reconcile('app/a');
    assert.deepEqual([calls, events], [[], []]);
  });

  it('writes the reason of a blocked object once', async () => {
    const caches = cluster();
    const { informers } = caches;
    informers.nodes.put('n1', { name: 'n1', providerID: 'aws:///eu-west-1a/i-1' });
    const current = assignment(caches.addPod('a'), caches.green, caches.bound, { status: 'Created' });
    informers.assignments.put(current.key, current);
    const { reconcile, calls, events } = reconcilerFor(caches);
    await reconcile('app/a');
    assert.deepEqual(calls, [`status ${current.key} UnsupportedNode`]);
    assert.deepEqual(
      events.map(({ kind, reason }) => `${kind} ${reason}`),
      ['AzureIdentityBinding binding apply error', 'Pod UnsupportedNode'],
    );
    const annotations = { ...current.metadata.annotations, 'aadpodidentity.k8s.io/reason': 'UnsupportedNode' };
    informers.assignments.put(current.key, { ...current, metadata: { ...current.metadata, annotations } });
    await reconcile('app/a');
    assert.equal(calls.length, 1);
  });
});
