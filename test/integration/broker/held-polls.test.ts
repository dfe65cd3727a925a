// A thousand sidecars hold their polls at one replica: one change wakes one of them, and stopping frees them all.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { on } from 'node:events';
import path from 'node:path';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import type { IdentityState } from '../../../api/broker.ts';
import { startBroker } from '../../../broker/server.ts';
import { boundTo, fakeApi, mint, signer } from '../../../broker/testing/cluster-tokens.ts';
import type { BrokerView } from '../../../broker/view.ts';
import { generateKey, issueAuthority, issueLeaf } from '../../../controller/certificates/issue.ts';
import { silentLogger } from '../../../lib/log.ts';
import type { Polled, PollerData } from './pollers.ts';

const count = 1000;
const servername = 'broker.home.svc';

test(`${count} held polls`, async (t) => {
  const issue = async () => ({ now: new Date(), key: await generateKey(), serial: randomBytes(16) });
  const ca = issueAuthority(await issue());
  const leaf = issueLeaf(ca, [servername], await issue());
  const issuer = await signer('k');
  const api = fakeApi();
  api.state.keys = [issuer.jwk];

  const states = new Map<string, IdentityState>(Array.from({ length: count }, (_, n) => [`team/app-${n}`, 'Created']));
  const listeners = new Set<(podKey: string) => void>();
  const view: BrokerView = {
    synced: true,
    rowsFor(podKey) {
      const state = states.get(podKey);
      if (state === undefined) return undefined;
      const row = { name: 'id', namespace: 'team', binding: 'team/b', type: 0, clientID: 'c', resourceID: '/r', state } as const;
      return { uid: podKey, excepted: false, identities: [row] };
    },
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    seen: () => ({ pods: '1' }),
    whenSeen: () => Promise.resolve(),
  };
  const tokens = await Promise.all(
    Array.from({ length: count }, (_, n) =>
      mint(issuer, Date.now(), { kubernetes: boundTo({ namespace: 'team', name: `app-${n}`, uid: `team/app-${n}` }) }),
    ),
  );
  const broker = await startBroker({
    client: api.client,
    log: silentLogger,
    listen: { host: '127.0.0.1', port: 0 },
    view,
    published: { leaf, caBundle: ca.certificate, onChange: () => () => undefined },
    onReport: () => undefined,
  });
  t.after(() => broker.stop());
  const before = process.memoryUsage();
  const workerData: PollerData = { port: broker.port, ca: ca.certificate, servername, tokens };
  const worker = new Worker(path.join(import.meta.dirname, 'pollers.ts'), { workerData });
  t.after(() => worker.terminate());
  const answers = on(worker, 'message');
  const next = async (): Promise<Polled> => ((await answers.next()).value as [Polled])[0];

  const first = new Map<number, number>();
  for (let n = 0; n < count; n += 1) {
    const { index, status } = await next();
    first.set(index, status);
  }
  assert.equal(first.size, count);
  assert.deepEqual(new Set(first.values()), new Set([200]));
  const held = async (wanted: number) => {
    while (broker.heldPolls !== wanted) await new Promise((resolve) => setImmediate(resolve));
  };
  await held(count);
  const { heapUsed, external } = process.memoryUsage();
  t.diagnostic(
    `heap and buffers of one held poll: about ${Math.round((heapUsed + external - before.heapUsed - before.external) / count / 1024)} KiB`,
  );

  states.set('team/app-500', 'Assigned');
  for (const listener of listeners) listener('team/app-500');
  assert.deepEqual(await next(), { index: 500, status: 200 });
  await held(count);
  assert.equal(api.count('tokenreviews') + api.count('pods'), 0);

  const stopped = broker.stop();
  const last = new Set<number>();
  while (last.size < count) {
    const { index, status } = await next();
    assert.equal(status, 304);
    last.add(index);
  }
  await stopped;
  assert.equal(broker.heldPolls, 0);
});
