import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { silentLogger } from '../log.ts';
import type { KubeClient } from './client.ts';
import { KubeError } from './errors.ts';
import { campaign } from './lease.ts';
import { at, isRecord } from './objects.ts';

/** One Lease with optimistic locking, as the API server keeps it. `down` makes every call fail. */
function leaseServer() {
  let stored: Record<string, unknown> | undefined;
  let version = 0;
  const server = {
    down: false,
    holder: () => at(stored, 'spec', 'holderIdentity'),
    transitions: () => at(stored, 'spec', 'leaseTransitions'),
  };
  const client: KubeClient = {
    async call(method, _path, options) {
      await new Promise((resolve) => setImmediate(resolve));
      if (server.down) throw new Error('connection refused');
      if (method === 'GET' && stored === undefined) throw new KubeError(404, 'NotFound', 'no lease');
      if (method === 'GET') return structuredClone(stored);
      const body = options?.body;
      if (!isRecord(body)) throw new Error('a body was expected');
      if (method === 'POST' && stored !== undefined) throw new KubeError(409, 'AlreadyExists', 'exists');
      if (method !== 'POST' && at(body, 'metadata', 'resourceVersion') !== at(stored, 'metadata', 'resourceVersion'))
        throw new KubeError(409, 'Conflict', 'changed');
      version += 1;
      const spec =
        method === 'PATCH' ? { ...(isRecord(stored?.spec) ? stored.spec : {}), ...(isRecord(body.spec) ? body.spec : {}) } : body.spec;
      stored = { metadata: { name: 'lease', resourceVersion: String(version) }, spec };
      return structuredClone(stored);
    },
    // biome-ignore lint/correctness/useYield: a Lease is never watched
    async *watch() {
      throw new Error('not watched');
    },
    close: async () => undefined,
  };
  return { server, client };
}

/** A candidate whose terms of leadership can be awaited. */
function candidate(client: KubeClient, identity: string, active: Set<string>) {
  let began = Promise.withResolvers<void>();
  let ended = Promise.withResolvers<void>();
  const leadership = campaign({
    client,
    log: silentLogger,
    namespace: 'ns',
    name: 'lease',
    identity,
    durationMs: 100,
    renewMs: 60,
    retryMs: 10,
    async onLead(signal) {
      active.add(identity);
      assert.equal(active.size, 1, 'two leaders at a time');
      ended = Promise.withResolvers();
      began.resolve();
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
      active.delete(identity);
      began = Promise.withResolvers();
      ended.resolve();
    },
  });
  return { leadership, leads: () => began.promise, endsLeading: () => ended.promise };
}

describe('leader election', () => {
  it('lets one lead, and the other at once when the first stops', async () => {
    const { server, client } = leaseServer();
    const active = new Set<string>();
    const first = candidate(client, 'first', active);
    await first.leads();
    const second = candidate(client, 'second', active);
    assert.equal(first.leadership.leading, true);
    await first.leadership.stop();
    assert.equal(first.leadership.leading, false);
    await second.leads();
    assert.equal(server.holder(), 'second');
    assert.equal(server.transitions(), 1);
    await second.leadership.stop();
    assert.equal(server.holder(), '');
  });

  it('stops leading when it cannot renew, before anybody else may start, and leads again later', async () => {
    const { server, client } = leaseServer();
    const active = new Set<string>();
    const only = candidate(client, 'only', active);
    await only.leads();
    const ended = only.endsLeading();
    server.down = true;
    await ended;
    assert.equal(only.leadership.remainingMs(), 0);
    const again = only.leads();
    server.down = false;
    await again;
    await only.leadership.stop();
  });

  it('never has two leaders among five that come and go', async () => {
    const { server, client } = leaseServer();
    const active = new Set<string>();
    for (let round = 0; round < 3; round += 1) {
      const five = [0, 1, 2, 3, 4].map((number) => candidate(client, `candidate-${number}`, active));
      await Promise.race(five.map((each) => each.leads()));
      await Promise.all(five.map((each) => each.leadership.stop()));
      assert.equal(active.size, 0);
    }
    assert.equal(server.holder(), '');
  });

  it('that cannot be reached is told once a minute, not at every attempt', async () => {
    const { server, client } = leaseServer();
    server.down = true;
    let calls = 0;
    const told: string[] = [];
    const tried = Promise.withResolvers<void>();
    const leadership = campaign({
      client: {
        ...client,
        call(...about) {
          calls += 1;
          if (calls === 5) tried.resolve();
          return client.call(...about);
        },
      },
      log: { ...silentLogger, warn: (about: object) => void told.push(JSON.stringify(about)) },
      namespace: 'ns',
      name: 'lease',
      identity: 'a',
      durationMs: 100,
      renewMs: 60,
      retryMs: 1,
      onLead: async () => undefined,
    });
    await tried.promise;
    await leadership.stop();
    assert.deepEqual(told, ['{"lease":"ns/lease","error":"Error: connection refused"}']);
  });
});
