// lib/kube against the real API server.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createConnection, createServer } from 'node:net';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { after, before, describe, it } from 'node:test';
import { hasIpv6 } from '../../../common/testing/ipv6.ts';
import type { KubeClient } from '../../../lib/kube/client.ts';
import { connect, mergePatch } from '../../../lib/kube/client.ts';
import { isAlreadyExists, isConflict, isNotFound, KubeError } from '../../../lib/kube/errors.ts';
import { createEventRecorder } from '../../../lib/kube/events.ts';
import type { Informer } from '../../../lib/kube/informer.ts';
import { startInformer } from '../../../lib/kube/informer.ts';
import { startLeaderElection } from '../../../lib/kube/leader-election.ts';
import { at, metadataOf, stringAt } from '../../../lib/kube/objects.ts';
import type { Resource } from '../../../lib/kube/resources.ts';
import { configMaps, events, leases, resourcePath } from '../../../lib/kube/resources.ts';
import { silentLogger } from '../../../lib/log.ts';
import { userAgentOf } from '../../../lib/user-agent.ts';
import { renderKubeconfig } from '../../cluster/access.ts';
import type { ControlPlane } from '../../cluster/control-plane.ts';
import { leaseControlPlane } from '../../harness/control-plane.ts';
import { eventually } from '../../harness/wait.ts';

let plane: ControlPlane;
let client: KubeClient;

before(async () => {
  plane = await leaseControlPlane();
  client = connect({ kubeconfig: plane.kubeconfig, userAgent: 'test', qps: 1000 });
});

after(async () => {
  await client?.close();
  await plane?.stop();
});

const collection = resourcePath(configMaps, { namespace: 'default' });
const object = (name: string) => resourcePath(configMaps, { namespace: 'default', name });
const createConfigMap = (name: string, labels: Record<string, string>) =>
  client.call('POST', collection, { body: { metadata: { name, labels }, data: { v: '0' } } });

interface Observed {
  informer: Informer<string>;
  /** Lists from scratch until now. */
  lists(): number;
  /** Ends the watch with its next event, and keeps it from coming back until `mend`. */
  cut(): void;
  mend(): void;
}

function observe(t: TestContext, options: { resource: Resource; labelSelector?: string; goneAfterMs?: number }): Observed {
  let lists = 0;
  let isCut = false;
  const cutting: KubeClient = {
    ...client,
    call(method, path, call) {
      if (call?.query?.limit !== undefined && call.query.continue === undefined) lists += 1;
      return client.call(method, path, call);
    },
    async *watch(path, watch) {
      if (isCut) throw new Error('cut off');
      for await (const event of client.watch(path, watch)) {
        if (isCut) throw new Error('cut off');
        yield event;
      }
    },
  };
  const informer = startInformer({
    client: cutting,
    log: silentLogger,
    namespace: 'default',
    project: (raw) => stringAt(raw, 'data', 'v'),
    pageSize: 2,
    retryMs: [20, 200],
    ...options,
  });
  t.after(() => informer.stop());
  return {
    informer,
    lists: () => lists,
    cut() {
      isCut = true;
    },
    mend() {
      isCut = false;
    },
  };
}

const observeConfigMaps = (t: TestContext, label: string) => observe(t, { resource: configMaps, labelSelector: `test=${label}` });

/** Resolves once the informer holds this value. */
function until(informer: Informer<string>, name: string, value: string | undefined): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const check = () => {
    if (informer.get(`default/${name}`) === value) resolve();
  };
  informer.onChange(check);
  check();
  return promise;
}

describe('client', () => {
  it('distinguishes a missing object, one that exists and a conflict', async () => {
    await createConfigMap('calls', {});
    await assert.rejects(client.call('GET', object('nothing')), isNotFound);
    await assert.rejects(createConfigMap('calls', {}), isAlreadyExists);
    const stale = { metadata: { resourceVersion: '1' }, data: { v: '1' } };
    await assert.rejects(client.call('PATCH', object('calls'), { contentType: mergePatch, body: stale }), isConflict);
  });

  it('calls and watches an API server at an IPv6 address', { skip: hasIpv6() ? false : 'there is no address ::1' }, async (t) => {
    const { port } = new URL(plane.url);
    const gateway = createServer((socket) => {
      const onward = createConnection({ host: '127.0.0.1', port: Number(port) });
      socket.on('error', () => onward.destroy()).pipe(onward);
      onward.on('error', () => socket.destroy()).pipe(socket);
    });
    gateway.listen(0, '::1');
    await once(gateway, 'listening');
    const server = `https://[::1]:${String((gateway.address() as AddressInfo).port)}`;
    const kubeconfig = path.join(plane.folder, 'ipv6.json');
    writeFileSync(kubeconfig, renderKubeconfig(server, plane.ca, { name: 'admin', groups: [], token: plane.token }));
    const remote = connect({ kubeconfig, userAgent: 'test', qps: 1000 });
    t.after(async () => {
      await remote.close();
      gateway.close();
    });
    const resourceVersion = stringAt(await remote.call('GET', collection), 'metadata', 'resourceVersion') ?? '';
    const query = { watch: 'true', resourceVersion };
    const watch = remote.watch(collection, { query, inactivityMs: 30_000, signal: t.signal });
    await createConfigMap('seen-by-ipv6', {});
    const { value } = await watch.next();
    assert.equal(stringAt(value, 'object', 'metadata', 'name'), 'seen-by-ipv6');
    await watch.return(undefined);
  });

  it('sends its user agent, and takes a timeout in fractions of a millisecond', async () => {
    const named = connect({ kubeconfig: plane.kubeconfig, userAgent: userAgentOf('controller', 'fleet 7'), qps: 1000 });
    const call = { body: { metadata: { name: 'signed' }, data: { v: '0' } }, timeoutMs: 10_000.5 };
    const created = await named.call('POST', collection, call);
    await named.close();
    const [first] = [at(created, 'metadata', 'managedFields')].flat();
    // What Kubernetes takes from a user agent up to its first slash.
    assert.equal(stringAt(first, 'manager'), 'aad-pod-identity');
  });

  it('ends a call when its caller aborts', async () => {
    await assert.rejects(client.call('GET', collection, { signal: AbortSignal.abort(new Error('given up')) }), /given up/);
  });
});

describe('informer', () => {
  it('reads several pages, follows changes and sees deletions', async (t) => {
    for (const number of [1, 2, 3, 4, 5]) await createConfigMap(`pages-${number}`, { test: 'pages' });
    const { informer } = observeConfigMaps(t, 'pages');
    await informer.whenSynced();
    assert.equal([...informer.values()].length, 5);
    await client.call('PATCH', object('pages-3'), { contentType: mergePatch, body: { data: { v: '1' } } });
    await until(informer, 'pages-3', '1');
    await client.call('DELETE', object('pages-3'));
    await until(informer, 'pages-3', undefined);
  });

  it('misses nothing when the API server restarts', async (t) => {
    await createConfigMap('restart-1', { test: 'restart' });
    const { informer } = observeConfigMaps(t, 'restart');
    await informer.whenSynced();
    await plane.restartApiServer();
    await createConfigMap('restart-2', { test: 'restart' });
    await until(informer, 'restart-2', '0');
    assert.equal(informer.get('default/restart-1'), '0');
  });

  it('lists again after a 410, and reports what was deleted meanwhile', async (t) => {
    await createConfigMap('gone-1', { test: 'gone' });
    await createConfigMap('gone-2', { test: 'gone' });
    const { informer, lists, cut, mend } = observeConfigMaps(t, 'gone');
    await informer.whenSynced();
    const removed: string[] = [];
    informer.onChange(({ key, after: now }) => {
      if (now === undefined) removed.push(key);
    });
    cut();
    await plane.restartApiServer();
    await client.call('DELETE', object('gone-1'));
    await createConfigMap('gone-noise', {});
    await plane.compact();
    // Without a restart the API server would answer from what it remembers of the watch itself.
    await plane.restartApiServer();
    mend();
    await until(informer, 'gone-1', undefined);
    assert.equal(lists(), 2);
    assert.deepEqual(removed, ['default/gone-1']);
  });

  it('keeps objects of a deleted CRD until discovery confirms it or the CRD is back', async (t) => {
    const widgets: Resource = { group: 'example.test', version: 'v1', plural: 'widgets', kind: 'Widget' };
    const crds = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
    const path = resourcePath(widgets, { namespace: 'default' });
    /** 429 while the API server prepares the storage of a new kind. */
    const status = () =>
      client.call('GET', path).then(
        () => 200,
        (error: unknown) => (error instanceof KubeError ? error.status : Promise.reject(error)),
      );
    const createKind = async () => {
      const schema = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };
      const body = {
        metadata: { name: 'widgets.example.test' },
        spec: {
          group: widgets.group,
          names: { plural: widgets.plural, kind: widgets.kind },
          scope: 'Namespaced',
          versions: [{ name: widgets.version, served: true, storage: true, schema: { openAPIV3Schema: schema } }],
        },
      };
      await client.call('POST', crds, { body });
      await eventually(async () => (await status()) === 200, 'the kind is served');
    };
    await createKind();
    const body = { apiVersion: 'example.test/v1', kind: 'Widget', metadata: { name: 'a' }, data: { v: '0' } };
    await client.call('POST', path, { body });
    const patient = observe(t, { resource: widgets });
    const strict = observe(t, { resource: widgets, goneAfterMs: 0 });
    for (const { informer, cut } of [patient, strict]) {
      await informer.whenSynced();
      assert.equal(informer.get('default/a'), '0');
      cut();
    }

    await client.call('DELETE', `${crds}/widgets.example.test`);
    await eventually(async () => (await status()) === 404, 'the kind is not served');
    patient.mend();
    strict.mend();
    await until(strict.informer, 'a', undefined);
    await eventually(() => !patient.informer.synced, 'the informer is not synced');
    assert.equal(patient.informer.get('default/a'), '0');

    await createKind();
    for (const { informer } of [patient, strict]) {
      await informer.whenSynced();
      assert.equal(informer.get('default/a'), undefined);
    }
  });
});

describe('leader election', () => {
  function harness(t: TestContext) {
    const name = `lease-${randomUUID().slice(0, 8)}`;
    const active = new Set<string>();
    const start = (identity: string, through: KubeClient = client) => {
      const started = Promise.withResolvers<void>();
      let terms = 0;
      const election = startLeaderElection({
        client: through,
        log: silentLogger,
        namespace: 'default',
        name,
        identity,
        leaseDurationMs: 4_000,
        renewDeadlineMs: 3_000,
        retryPeriodMs: 200,
        async onStartedLeading(signal) {
          terms += 1;
          active.add(identity);
          assert.equal(active.size, 1, 'two leaders at a time');
          started.resolve();
          await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
          active.delete(identity);
        },
      });
      // Also after a failed assertion: a candidate that goes on would keep the whole run from ending.
      t.after(() => election.stop());
      return { election, started: started.promise, terms: () => terms };
    };
    return { path: resourcePath(leases, { namespace: 'default', name }), start };
  }

  it('gives the Lease to another when the leader stops, and when it dies', async (t) => {
    const { path, start } = harness(t);
    const first = start('first');
    await first.started;
    const dying = connect({ kubeconfig: plane.kubeconfig, userAgent: 'dying', qps: 1000 });
    const second = start('second', dying);
    // It waits for a Lease that is released, not for one that runs out.
    await first.election.stop();
    await second.started;
    const third = start('third');
    await dying.close();
    await third.started;
    const raw = await client.call('GET', path);
    assert.equal(stringAt(raw, 'spec', 'holderIdentity'), 'third');
    assert.ok(Number(at(raw, 'spec', 'leaseTransitions')) >= 2);
  });

  it('goes on with its term while somebody labels the Lease, and keeps the labels', async (t) => {
    const { path, start } = harness(t);
    // Every renewal but the third meets a conflict.
    let writes = 0;
    const conflicting: KubeClient = {
      ...client,
      async call(method, target, options) {
        if (method === 'PATCH') writes += 1;
        if (method === 'PATCH' && writes % 3 !== 0) {
          const labels = { [`label-${writes}`]: '' };
          await client.call('PATCH', path, { contentType: mergePatch, body: { metadata: { labels } } });
        }
        return client.call(method, target, options);
      },
    };
    const candidate = start('labelled', conflicting);
    await candidate.started;
    await eventually(() => writes >= 6, 'six renewals');
    assert.deepEqual([candidate.terms(), candidate.election.leading], [1, true]);
    const labels = at(await client.call('GET', path), 'metadata', 'labels');
    assert.deepEqual(Object.keys(Object(labels)), ['label-1', 'label-2', 'label-4', 'label-5']);
  });
});

describe('event recorder', () => {
  it('writes the same Event once, under a name that the API server takes', async () => {
    const recorder = createEventRecorder({ client, log: silentLogger, instance: 'test' });
    const name = `${'a'.repeat(199)}.cut`;
    const configMap = await createConfigMap(name, {});
    const regarding = { apiVersion: 'v1', kind: 'ConfigMap', namespace: 'default', name, uid: metadataOf(configMap).uid };
    recorder.record(regarding, 'Warning', 'binding apply error', 'it did not work');
    recorder.record(regarding, 'Warning', 'binding apply error', 'it did not work');
    await recorder.flush();
    const list = await client.call('GET', resourcePath(events, { namespace: 'default' }));
    const items = at(list, 'items');
    const ours = (Array.isArray(items) ? items : []).filter((item: unknown) => stringAt(item, 'regarding', 'name') === name);
    assert.equal(ours.length, 1);
    assert.equal(stringAt(ours[0], 'reason'), 'binding apply error');
    assert.equal(stringAt(ours[0], 'reportingController'), 'aadpodidentity.k8s.io');
  });
});
