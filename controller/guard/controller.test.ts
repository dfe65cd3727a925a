import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Registry } from 'prom-client';
import { createControllerMetrics } from '../../lib/controller/metrics.ts';
import type { Exception } from '../../lib/identities/exceptions.ts';
import { fakeEvents } from '../../lib/identities/testing/events.ts';
import type { CallOptions, KubeClient } from '../../lib/kube/client.ts';
import { KubeError } from '../../lib/kube/errors.ts';
import { silentLogger } from '../../lib/log.ts';
import { startGuardController } from './controller.ts';
import { reconcileGuard } from './reconciler.ts';

const guarded = { 'aadpodidentity.k8s.io/guard': 'enabled' };

interface Fixture {
  namespaces: { name: string; labels?: object; annotations?: object }[];
  /** Names of the pods without a marker by namespace; `broken` cannot be listed. */
  pods?: Record<string, string[] | 'broken'>;
  /** Names of those that have the marker redirect and no binding label. */
  forged?: Record<string, string[]>;
  exceptions?: Exception[];
}

/** Two objects a page. */
function fakeLists({ namespaces, pods = {}, forged = {} }: Fixture) {
  const calls: { path: string; query: Record<string, string> }[] = [];
  const pageOf = (items: unknown[], { query = {} }: CallOptions) => {
    const from = Number(query.continue ?? 0);
    const next = from + 2 < items.length ? { continue: String(from + 2) } : {};
    return { items: items.slice(from, from + 2), metadata: { resourceVersion: '1', ...next } };
  };
  const client: KubeClient = {
    async call(method, path, options = {}) {
      assert.equal(method, 'GET');
      calls.push({ path, query: options.query ?? {} });
      if (path === '/api/v1/namespaces')
        return pageOf(
          namespaces.map((metadata) => ({ metadata })),
          options,
        );
      const namespace = /^\/api\/v1\/namespaces\/(.+)\/pods$/.exec(path)?.[1] ?? assert.fail(path);
      const names = (options.query?.labelSelector === '!aadpodidentity.k8s.io/injected' ? pods : forged)[namespace] ?? [];
      if (names === 'broken') throw new KubeError(500, '', 'no');
      return pageOf(
        names.map((name) => ({ metadata: { namespace, name, labels: { app: name } } })),
        options,
      );
    },
    watch: () => assert.fail('nothing is watched'),
    close: async () => undefined,
  };
  return { client, calls };
}

function setUp(fixture: Fixture) {
  const { client, calls } = fakeLists(fixture);
  const { events, list } = fakeEvents();
  let counts: Record<string, number> = {};
  const set = Promise.withResolvers<void>();
  const options = {
    client,
    events,
    setUnguarded(given: ReadonlyMap<string, number>) {
      counts = Object.fromEntries(given);
      set.resolve();
    },
    log: silentLogger,
    selector: { matchLabels: guarded },
    releaseNamespace: 'release',
    exceptions: { values: () => fixture.exceptions ?? [] },
  };
  return { options, calls, list, counted: () => counts, whenCounted: set.promise };
}

const never = new AbortController().signal;

describe('reconcileGuard', () => {
  it('counts the unguarded pods of guarded namespaces, page by page', async () => {
    const { options, calls, list, counted } = setUp({
      namespaces: [{ name: 'a', labels: guarded }, { name: 'b' }, { name: 'c', labels: guarded }],
      pods: { a: ['1', '2', '3', '4', '5'], b: ['6'] },
    });
    await reconcileGuard(options, never);
    assert.deepEqual(counted(), { a: 5, c: 0 });
    assert.deepEqual(
      list.map(({ kind, name, type, reason }) => [kind, name, type, reason]),
      [['Namespace', 'a', 'Warning', 'UnguardedPods']],
    );
    const listed = calls.filter(({ query }) => query.labelSelector === '!aadpodidentity.k8s.io/injected').map(({ path }) => path);
    assert.deepEqual(listed, [...Array(3).fill('/api/v1/namespaces/a/pods'), '/api/v1/namespaces/c/pods']);
    assert.ok(calls.every(({ query }) => query.limit === '500'));
  });

  it('counts a pod that wrote its marker itself', async () => {
    const { options, list, counted } = setUp({ namespaces: [{ name: 'a', labels: guarded }], forged: { a: ['liar'] } });
    await reconcileGuard(options, never);
    assert.deepEqual(counted(), { a: 1 });
    assert.match(list[0]?.message ?? '', /: liar\. /);
  });

  it('leaves out the pods of the exceptions that the namespace allows', async () => {
    const exceptions = ['one', 'two'].map((name) => ({ key: `a/${name}`, namespace: 'a', name, podLabels: { app: name } }));
    const annotations = { 'aadpodidentity.k8s.io/guard-allow': 'one' };
    const pods = { a: ['one', 'two'], b: ['one'] };
    const namespaces = ['a', 'b'].map((name) => ({ name, labels: guarded, annotations }));
    const { options, counted } = setUp({ namespaces, pods, exceptions });
    await reconcileGuard(options, never);
    assert.deepEqual(counted(), { a: 1, b: 1 });
  });

  it('goes on with other namespaces where the pods of one cannot be listed', async () => {
    const { options, counted } = setUp({
      namespaces: [
        { name: 'a', labels: guarded },
        { name: 'b', labels: guarded },
      ],
      pods: { a: 'broken', b: ['1'] },
    });
    await assert.rejects(reconcileGuard(options, never), AggregateError);
    assert.deepEqual(counted(), { b: 1 });
  });

  it('records an Event on a namespace whose guard does not work', async () => {
    const { options, calls, list } = setUp({ namespaces: [{ name: 'a', labels: { 'aadpodidentity.k8s.io/guard': 'yes' } }] });
    await reconcileGuard(options, never);
    assert.deepEqual(
      list.map(({ name, reason }) => [name, reason]),
      [['a', 'GuardMisconfigured']],
    );
    assert.deepEqual(
      calls.map(({ path }) => path),
      ['/api/v1/namespaces'],
    );
  });
});

describe('startGuardController', () => {
  it('counts at once and forgets the counts when it stops', async () => {
    const { options, counted, whenCounted } = setUp({ namespaces: [{ name: 'a', labels: guarded }], pods: { a: ['1'] } });
    const controller = startGuardController({ ...options, metrics: createControllerMetrics(new Registry()) });
    await whenCounted;
    assert.deepEqual(counted(), { a: 1 });
    await controller.stop();
    assert.deepEqual(counted(), {});
  });
});
