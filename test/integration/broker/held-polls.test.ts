// The broker holds the polls of a thousand sidecars: a change of one pod answers one poll, a stop answers all.
import assert from 'node:assert/strict';
import { on } from 'node:events';
import path from 'node:path';
import { test } from 'node:test';
import v8 from 'node:v8';
import vm from 'node:vm';
import { Worker } from 'node:worker_threads';
import type { IdentityState } from '../../../api/broker.ts';
import { BrokerError } from '../../../broker/error.ts';
import type { RowSource } from '../../../broker/rows.ts';
import { startBrokerServer } from '../../../broker/server.ts';
import { boundTo, createSigner, fakeApiServer, signToken } from '../../../broker/testing/fake-api-server.ts';
import { noFederation } from '../../../broker/testing/harness.ts';
import { silentLogger } from '../../../lib/log.ts';
import { createTestAuthority, fakeServingCertificate } from '../../../lib/tls/testing/certificates.ts';
import type { Polled, PollerData } from './pollers.ts';

v8.setFlagsFromString('--expose-gc');
const collectGarbage = vm.runInNewContext('gc') as () => void;
const count = 1000;
const servername = 'broker.home.svc';

test(`holds ${count} polls, answers one for a change and all for a stop`, async (t) => {
  const ca = await createTestAuthority();
  const issuer = await createSigner('k');
  const api = fakeApiServer();
  api.state.keys = [issuer.jwk];

  const states = new Map<string, IdentityState>(Array.from({ length: count }, (_, n) => [`team/app-${n}`, 'Created']));
  const listeners = new Set<(podKey: string) => void>();
  const rows: RowSource = {
    synced: true,
    waitingFor: () => [],
    get(podKey) {
      const state = states.get(podKey);
      if (state === undefined) return undefined;
      const row = {
        name: 'id',
        namespace: 'team',
        binding: 'team/b',
        type: 0,
        source: 'imds',
        clientID: 'c',
        resourceID: '/r',
        state,
      } as const;
      return { uid: podKey, excepted: false, identities: [row] };
    },
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    versions: () => ({ pods: '1' }),
    whenReached: () => Promise.resolve(),
  };
  const tokens = await Promise.all(
    Array.from({ length: count }, (_, n) =>
      signToken(issuer, Date.now(), { kubernetes: boundTo({ namespace: 'team', name: `app-${n}`, uid: `team/app-${n}` }) }),
    ),
  );
  const broker = await startBrokerServer({
    client: api.client,
    log: silentLogger,
    listen: { host: '127.0.0.1', port: 0 },
    rows,
    certificate: fakeServingCertificate({ keyPair: await ca.issue(servername), caBundle: ca.certificate }),
    home: 'default',
    nodeEndpoint: { drivers: [], podOf: () => undefined },
    onReport: () => undefined,
    mintToken: () => Promise.reject(new BrokerError('token_failed', 'not in this test')),
    federation: noFederation,
  });
  t.after(() => broker.stop());
  const before = memoryInUse();
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
  t.diagnostic(`heap and buffers of one held poll: about ${Math.round((memoryInUse() - before) / count / 1024)} KiB`);

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

/** Bytes of heap and buffers after a garbage collection. */
function memoryInUse(): number {
  collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
