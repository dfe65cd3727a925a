// A pod floods the broker, or leaves polls behind; other pods are served meanwhile. Each pod has an address of its own, as in a cluster.
import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { Agent, request } from 'node:https';
import path from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { boundTo, pod, signToken } from '../../../broker/testing/fake-api-server.ts';
import type { Fixture, Harness } from '../../../broker/testing/harness.ts';
import { createFixture, row, serverName, startHarness } from '../../../broker/testing/harness.ts';
import type { RunningProxy } from '../sidecar/process.ts';
import { startProxy } from '../sidecar/process.ts';

const memory = 512 * 1024 * 1024;
const flooding = '127.0.0.2';
const honest = '127.0.0.3';

describe('broker under a flood', { timeout: 180_000 }, () => {
  let fixture: Fixture;
  let harness: Harness;
  before(async () => {
    fixture = await createFixture();
  });
  beforeEach(async () => {
    harness = await startHarness(fixture, { memory });
  });
  afterEach(() => harness.stop());

  /** On a connection of its own. */
  const ask = (address: string, token: string) =>
    new Promise<number>((resolve, reject) => {
      const agent = new Agent({ ca: fixture.ca.certificate, servername: serverName, localAddress: address });
      const options = { host: '127.0.0.1', port: harness.broker.port, path: '/v1/identities', agent };
      request({ ...options, headers: { authorization: `Bearer ${token}` } }, (response) => {
        response.resume().on('end', () => {
          agent.destroy();
          resolve(response.statusCode ?? 0);
        });
      })
        .on('error', reject)
        .end();
    });

  it('serves new connections of others beside 7 400 silent ones of a pod', async (t) => {
    const flood = fork(path.join(import.meta.dirname, 'silent-clients.ts'), [String(harness.broker.port), flooding, '7400']);
    const ended = once(flood, 'exit');
    try {
      const before = process.memoryUsage().rss;
      // As many as one address may have.
      for (let handshakes = 0; handshakes < 500; ) [handshakes] = await once(flood, 'message');
      for (let n = 0; n < 50; n += 1) assert.equal(await ask(honest, harness.caller.token), 200);
      const grown = process.memoryUsage().rss - before;
      t.diagnostic(`memory grew by ${Math.round(grown / 1024 / 1024)} MiB`);
      assert.ok(grown < memory / 2);
    } finally {
      flood.kill('SIGKILL');
      await ended;
    }
  });

  it('looks up an unknown pod beside a flood of unknown pods of another namespace', async () => {
    const strangers = await Promise.all(
      Array.from({ length: 300 }, (_, n) =>
        signToken(fixture.tokens, harness.clock.wall(), { kubernetes: boundTo({ namespace: 'flood', name: 'app', uid: `uid-${n}` }) }),
      ),
    );
    const flood = strangers.map((token) => ask(flooding, token));
    while (harness.api.count('namespaces/flood') < 40) await new Promise((resolve) => setImmediate(resolve));
    const gone = await signToken(fixture.tokens, harness.clock.wall(), { kubernetes: boundTo({ ...pod, name: 'gone' }) });
    assert.equal(await ask(honest, gone), 404);
    assert.ok((await Promise.all(flood)).every((status) => status === 404 || status === 503));
  });
});

describe('stale polls of a sidecar', { timeout: 180_000 }, () => {
  let harness: Harness;
  let target: Parameters<typeof startProxy>[0];
  const proxies: RunningProxy[] = [];
  before(async () => {
    const fixture = await createFixture();
    harness = await startHarness(fixture, { memory });
    const { port } = harness.broker;
    const broker = {
      url: `https://${serverName}:${port}`,
      address: `127.0.0.1:${port}`,
      ca: fixture.ca.certificate,
      token: harness.caller.token,
    };
    target = { imds: 'http://127.0.0.1:1', broker };
  });
  after(async () => {
    for (const proxy of proxies) proxy.child.kill('SIGKILL');
    await Promise.all(proxies.map((proxy) => proxy.child.exitCode ?? once(proxy.child, 'close')));
    await harness.stop();
  });

  it('holds four at most, and tells the newest sidecar of a change', async () => {
    for (let n = 1; n <= 6; n += 1) {
      const proxy = await startProxy(target);
      proxies.push(proxy);
      await proxy.logged((line) => line.msg === 'identities of this pod');
      await harness.untilHeld(Math.min(n, 4));
      // A node that is cut off closes no connection either.
      if (n < 6) proxy.child.kill('SIGSTOP');
    }
    assert.deepEqual(harness.refusals, ['polls', 'polls']);
    harness.informers.set('team/app-0', {
      uid: 'uid-1',
      excepted: false,
      identities: [{ ...row, state: 'Assigned' }],
      defaultIdentity: 'id',
    });
    await proxies[5]?.logged((line) => line.identities === 'team/id Assigned');
  });
});
