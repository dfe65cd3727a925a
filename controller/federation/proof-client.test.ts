import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { describe, it } from 'node:test';
import { createFakeClock } from '../../common/testing/fake-clock.ts';
import type { KubeClient } from '../../lib/kube/client.ts';
import type { TestAuthority } from '../../lib/tls/testing/certificates.ts';
import { createTestAuthority } from '../../lib/tls/testing/certificates.ts';
import { BrokerUnavailableError, brokerHostOf, createProofClient } from './proof-client.ts';

const signal = new AbortController().signal;
const trust = { issuer: 'https://issuer', subject: 'system:serviceaccount:release:broker', audience: 'api://x' };
const request = { tenantId: 't', clientId: 'c', resource: 'r' };

interface Answer {
  status?: number;
  /** Undefined: none comes. */
  body?: unknown;
}

/** A broker with the name that its Service has, and the client of it. */
async function served(t: TestContext, answers: Answer[], { name = 'broker.release.svc' } = {}) {
  const authority = await createTestAuthority();
  const { certificate, key } = await authority.issue(name);
  const seen: { method: string; path: string; authorization: string; body: string }[] = [];
  const requests = new EventEmitter();
  const arrived = async (count: number): Promise<void> => {
    while (seen.length < count) await once(requests, 'seen');
  };
  const server = createServer({ cert: certificate, key }, (incoming, response) => {
    const { method = '', url = '', headers } = incoming;
    let body = '';
    incoming.on('data', (chunk: Buffer) => {
      body += chunk.toString();
    });
    incoming.on('end', () => {
      seen.push({ method, path: url, authorization: headers.authorization ?? '', body });
      requests.emit('seen');
      const { status = 200, body: answer } = answers.shift() ?? { status: 500, body: 'no more' };
      if (answer !== undefined) response.writeHead(status).end(JSON.stringify(answer));
    });
  });
  let connections = 0;
  server.on('secureConnection', () => {
    connections += 1;
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const folder = await mkdtemp(path.join(os.tmpdir(), 'proof-'));
  const tokenFile = path.join(folder, 'token');
  await writeFile(tokenFile, 'first\n');
  const bundle: { trusted: TestAuthority | undefined } = { trusted: authority };
  const clock = createFakeClock();
  const client = createProofClient({
    client: {
      call: async () => ({ data: bundle.trusted === undefined ? {} : { 'ca.crt': bundle.trusted.certificate } }),
    } as unknown as KubeClient,
    namespace: 'release',
    service: 'broker',
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    tokenFile,
    userAgent: 'test',
    clock,
  });
  t.after(async () => {
    await client.close();
    server.closeAllConnections();
    server.close();
    await rm(folder, { recursive: true });
  });
  return {
    client,
    seen,
    arrived,
    connections: () => connections,
    clock,
    bundle,
    authority,
    rotateToken: () => writeFile(tokenFile, 'second'),
  };
}

describe('createProofClient', () => {
  it('asks for the trust twice a minute at most, with the token of the file', async (t) => {
    const { client, seen, clock, rotateToken } = await served(t, [{ body: trust }, { body: trust }]);
    assert.deepEqual(await client.trust(signal), trust);
    await client.trust(signal);
    await rotateToken();
    await clock.advance(30_000);
    await client.trust(signal);
    assert.deepEqual(
      seen.map(({ method, path: asked, authorization }) => `${method} ${asked} ${authorization}`),
      ['GET /v1/federation Bearer first', 'GET /v1/federation Bearer second'],
    );
  });

  it('asks once for all that need the trust, and again after a failure', async (t) => {
    const { client, seen } = await served(t, [{ status: 503, body: {} }, { body: trust }]);
    const failures = await Promise.allSettled(Array.from({ length: 5 }, () => client.trust(signal)));
    assert.deepEqual(new Set(failures.map(({ status }) => status)), new Set(['rejected']));
    assert.deepEqual(
      await Promise.all(Array.from({ length: 5 }, () => client.trust(signal))),
      Array.from({ length: 5 }, () => trust),
    );
    assert.equal(seen.length, 2);
  });

  it('gives the trust to the others where one of them is stopped', async (t) => {
    const { client } = await served(t, [{ body: trust }]);
    const stopped = new AbortController();
    const first = client.trust(stopped.signal);
    const second = client.trust(signal);
    stopped.abort(new Error('stopped'));
    await assert.rejects(first, /stopped/);
    assert.deepEqual(await second, trust);
  });

  it('keeps its connection after a refusal, and not after an answer 503', async (t) => {
    const { client, connections } = await served(
      t,
      [{ status: 403 }, { status: 400 }, { status: 503 }, { body: trust }].map((answer) => ({ body: {}, ...answer })),
    );
    for (const count of [1, 1, 1]) {
      await assert.rejects(client.trust(signal), BrokerUnavailableError);
      assert.equal(connections(), count);
    }
    await client.trust(signal);
    assert.equal(connections(), 2);
  });

  it('asks for the trust while proofs wait for Entra', async (t) => {
    const { client, arrived } = await served(t, [...Array.from({ length: 7 }, () => ({})), { body: trust }]);
    const waiting = new AbortController();
    const proofs = Array.from({ length: 9 }, () => client.prove(request, waiting.signal).catch(() => undefined));
    await arrived(7);
    assert.deepEqual(await client.trust(signal), trust);
    waiting.abort(new Error('over'));
    await Promise.all(proofs);
  });

  it('gives the outcome of a proof', async (t) => {
    const failed = { outcome: 'failed', aadsts: 700213, error: 'invalid_client', message: 'no', retryable: true } as const;
    const { client, seen } = await served(t, [{ body: { outcome: 'proven' } }, { body: failed }]);
    assert.deepEqual(await client.prove(request, signal), { outcome: 'proven' });
    assert.deepEqual(await client.prove(request, signal), failed);
    assert.deepEqual(JSON.parse(seen[0]?.body ?? ''), request);
  });

  for (const [what, answer] of [
    ['another status', { status: 403, body: { error: 'forbidden' } }],
    ['an outcome that nobody knows', { body: { outcome: 'perhaps' } }],
    ['no message', { body: { outcome: 'failed' } }],
  ] as const)
    it(`takes ${what} for a broker that does not answer`, async (t) => {
      const { client } = await served(t, [answer]);
      await assert.rejects(client.prove(request, signal), BrokerUnavailableError);
    });

  it('sends no token to a server without the name of the broker', async (t) => {
    const { client, seen } = await served(t, [{ body: trust }], { name: 'other.release.svc' });
    await assert.rejects(client.trust(signal), BrokerUnavailableError);
    assert.deepEqual(seen, []);
  });

  it('reads the CA bundle again after a failure', async (t) => {
    const { client, bundle, authority } = await served(t, [{ body: trust }]);
    bundle.trusted = await createTestAuthority();
    await assert.rejects(client.trust(signal), BrokerUnavailableError);
    bundle.trusted = undefined;
    await assert.rejects(client.trust(signal), /has no ca.crt yet/);
    bundle.trusted = authority;
    assert.deepEqual(await client.trust(signal), trust);
  });

  it('rejects with the reason of its signal', async (t) => {
    const { client } = await served(t, []);
    const reason = new Error('stopped');
    await assert.rejects(client.trust(AbortSignal.abort(reason)), reason);
  });
});

describe('brokerHostOf', () => {
  it('is the ClusterIP of the Service, without cluster DNS, else its name', () => {
    const host = (clusterIP?: string) => brokerHostOf({ spec: { clusterIP } }, 'broker.release.svc');
    assert.equal(host('10.96.0.7'), '10.96.0.7:9443');
    assert.equal(host('fd00::7'), '[fd00::7]:9443');
    for (const absent of ['None', '', undefined]) assert.equal(host(absent), 'broker.release.svc:9443');
  });
});
