// The Kubernetes client against the real API server: what everything else stands on.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import type { KubeClient } from '../../../lib/kube/client.ts';
import { connect, mergePatch } from '../../../lib/kube/client.ts';
import { isAlreadyExists, isConflict, isNotFound } from '../../../lib/kube/errors.ts';
import { createEventRecorder } from '../../../lib/kube/events.ts';
import type { Informer } from '../../../lib/kube/informer.ts';
import { startInformer } from '../../../lib/kube/informer.ts';
import { startLeaderElection } from '../../../lib/kube/leader-election.ts';
import { at, metadataOf, stringAt } from '../../../lib/kube/objects.ts';
import { configMaps, events, leases, resourcePath } from '../../../lib/kube/resources.ts';
import { silentLogger } from '../../../lib/log.ts';
import { userAgentOf } from '../../../lib/user-agent.ts';
import type { ControlPlane } from '../../cluster/control-plane.ts';
import { startControlPlane } from '../../cluster/control-plane.ts';

let plane: ControlPlane;
let client: KubeClient;

before(async () => {
  plane = await startControlPlane();
  client = connect({ kubeconfig: plane.kubeconfig, userAgent: 'test', qps: 1000 });
});

after(async () => {
  await client?.close();
  await plane?.stop();
});

const collection = resourcePath(configMaps, { namespace: 'default' });
const object = (name: string) => resourcePath(configMaps, { namespace: 'default', name });
const make = (name: string, labels: Record<string, string>) =>
  client.call('POST', collection, { body: { metadata: { name, labels }, data: { v: '0' } } });

/** A copy of the ConfigMaps with this label, how often it was listed from scratch, and a way to keep it from watching for a while. */
function copyOf(
  t: { after(done: () => unknown): void },
  label: string,
): { copy: Informer<string>; lists: () => number; cut: () => () => void } {
  let lists = 0;
  let isCut = false;
  const counting: KubeClient = {
    ...client,
    call(method, path, options) {
      if (options?.query?.limit !== undefined && options.query.continue === undefined) lists += 1;
      return client.call(method, path, options);
    },
    watch(path, options) {
      if (isCut) throw new Error('cut off');
      return client.watch(path, options);
    },
  };
  const copy = startInformer({
    client: counting,
    log: silentLogger,
    resource: configMaps,
    namespace: 'default',
    labelSelector: `test=${label}`,
    project: (raw) => stringAt(raw, 'data', 'v'),
    pageSize: 2,
    retryMs: [20, 200],
  });
  t.after(() => copy.stop());
  const cut = () => {
    isCut = true;
    return () => {
      isCut = false;
    };
  };
  return { copy, lists: () => lists, cut };
}

/** Resolves once the copy holds this value. */
function until(copy: Informer<string>, name: string, value: string | undefined): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const check = () => {
    if (copy.get(`default/${name}`) === value) resolve();
  };
  copy.onChange(check);
  check();
  return promise;
}

describe('calls', () => {
  it('tells a missing object, one that exists and a lost race apart', async () => {
    await make('calls', {});
    await assert.rejects(client.call('GET', object('nothing')), isNotFound);
    await assert.rejects(make('calls', {}), isAlreadyExists);
    const stale = { metadata: { resourceVersion: '1' }, data: { v: '1' } };
    await assert.rejects(client.call('PATCH', object('calls'), { contentType: mergePatch, body: stale }), isConflict);
  });

  it('says who it is, and takes a time-out in fractions of a millisecond', async () => {
    const named = connect({ kubeconfig: plane.kubeconfig, userAgent: userAgentOf('controller', 'fleet 7'), qps: 1000 });
    const call = { body: { metadata: { name: 'signed' }, data: { v: '0' } }, timeoutMs: 10_000.5 };
    const made = await named.call('POST', collection, call);
    await named.close();
    const [first] = [at(made, 'metadata', 'managedFields')].flat();
    // What Kubernetes takes from a user agent up to its first slash.
    assert.equal(stringAt(first, 'manager'), 'aad-pod-identity');
  });

  it('ends a call that its caller gives up', async () => {
    await assert.rejects(client.call('GET', collection, { signal: AbortSignal.abort(new Error('given up')) }), /given up/);
  });
});

describe('a informer', () => {
  it('reads several pages, follows changes and sees deletions', async (t) => {
    for (const number of [1, 2, 3, 4, 5]) await make(`pages-${number}`, { test: 'pages' });
    const { copy } = copyOf(t, 'pages');
    await copy.whenSynced();
    assert.equal([...copy.values()].length, 5);
    await client.call('PATCH', object('pages-3'), { contentType: mergePatch, body: { data: { v: '1' } } });
    await until(copy, 'pages-3', '1');
    await client.call('DELETE', object('pages-3'));
    await until(copy, 'pages-3', undefined);
  });

  it('survives a restart of the API server and misses nothing', async (t) => {
    await make('restart-1', { test: 'restart' });
    const { copy } = copyOf(t, 'restart');
    await copy.whenSynced();
    await plane.restartApiServer();
    await make('restart-2', { test: 'restart' });
    await until(copy, 'restart-2', '0');
    assert.equal(copy.get('default/restart-1'), '0');
  });

  it('lists anew after a 410, and tells what changed while it could not see', async (t) => {
    await make('gone-1', { test: 'gone' });
    await make('gone-2', { test: 'gone' });
    const { copy, lists, cut } = copyOf(t, 'gone');
    await copy.whenSynced();
    const removed: string[] = [];
    copy.onChange(({ key, after: now }) => {
      if (now === undefined) removed.push(key);
    });
    const mend = cut();
    await plane.restartApiServer();
    await client.call('DELETE', object('gone-1'));
    await make('gone-noise', {});
    await plane.compact();
    // Without a restart the API server would answer from what it remembers of the watch itself.
    await plane.restartApiServer();
    mend();
    await until(copy, 'gone-1', undefined);
    assert.equal(lists(), 2);
    assert.deepEqual(removed, ['default/gone-1']);
  });
});

describe('the Lease', () => {
  it('is held by one, handed over at once by a leader that stops, and taken from one that died', async (t) => {
    const name = `lease-${randomUUID().slice(0, 8)}`;
    const active = new Set<string>();
    const candidate = (identity: string, through: KubeClient) => {
      const began = Promise.withResolvers<void>();
      const leadership = startLeaderElection({
        client: through,
        log: silentLogger,
        namespace: 'default',
        name,
        identity,
        leaseDurationMs: 4_000,
        renewDeadlineMs: 3_000,
        retryPeriodMs: 200,
        async onStartedLeading(signal) {
          active.add(identity);
          assert.equal(active.size, 1, 'two leaders at a time');
          began.resolve();
          await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
          active.delete(identity);
        },
      });
      // Also after a failed assertion: a candidate that goes on would keep the whole run from ending.
      t.after(() => leadership.stop());
      return { leadership, began: began.promise };
    };
    const first = candidate('first', client);
    await first.began;
    const dying = connect({ kubeconfig: plane.kubeconfig, userAgent: 'dying', qps: 1000 });
    const second = candidate('second', dying);
    // It waits for a Lease that is given back, not for one that runs out.
    await first.leadership.stop();
    await second.began;
    const third = candidate('third', client);
    await dying.close();
    await third.began;
    const raw = await client.call('GET', resourcePath(leases, { namespace: 'default', name }));
    assert.equal(stringAt(raw, 'spec', 'holderIdentity'), 'third');
    assert.ok(Number(at(raw, 'spec', 'leaseTransitions')) >= 2);
  });
});

describe('Events', () => {
  it('are accepted by the API server, once for the same thing', async () => {
    const recorder = createEventRecorder({ client, log: silentLogger, instance: 'test' });
    const configMap = await make('regarded', {});
    const regarding = { apiVersion: 'v1', kind: 'ConfigMap', namespace: 'default', name: 'regarded', uid: metadataOf(configMap).uid };
    recorder.record(regarding, 'Warning', 'binding apply error', 'it did not work');
    recorder.record(regarding, 'Warning', 'binding apply error', 'it did not work');
    await recorder.flush();
    const list = await client.call('GET', resourcePath(events, { namespace: 'default' }));
    const items = at(list, 'items');
    const ours = (Array.isArray(items) ? items : []).filter((item: unknown) => stringAt(item, 'regarding', 'name') === 'regarded');
    assert.equal(ours.length, 1);
    assert.equal(stringAt(ours[0], 'reason'), 'binding apply error');
    assert.equal(stringAt(ours[0], 'reportingController'), 'aadpodidentity.k8s.io');
  });
});
