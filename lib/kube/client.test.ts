import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { describe, it } from 'node:test';
import { createFakeClock } from '../../common/testing/fake-clock.ts';
import { connect } from './client.ts';
import { IdleWatchError, KubeError } from './errors.ts';

/** A client of a plain HTTP server on loopback, on a fake clock. */
async function harness(t: TestContext, options: { qps: number; answer?: (request: IncomingMessage, response: ServerResponse) => void }) {
  const requests: string[] = [];
  const arrivals: (() => void)[] = [];
  const server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url}`);
    for (const arrived of arrivals.splice(0)) arrived();
    if (options.answer === undefined) response.end('{}');
    else options.answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const folder = await mkdtemp(path.join(os.tmpdir(), 'client-'));
  const kubeconfig = path.join(folder, 'kubeconfig');
  writeFileSync(
    kubeconfig,
    JSON.stringify({
      clusters: [
        { name: 'c', cluster: { server: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, 'insecure-skip-tls-verify': true } },
      ],
      users: [{ name: 'u', user: {} }],
      contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
      'current-context': 'x',
    }),
  );
  const clock = createFakeClock();
  const client = connect({ kubeconfig, userAgent: 'test', qps: options.qps, clock });
  t.after(async () => {
    await client.close();
    server.closeAllConnections();
    server.close();
    rmSync(folder, { recursive: true });
  });
  return { client, clock, requests, nextRequest: () => new Promise<void>((resolve) => arrivals.push(resolve)) };
}

describe('client', () => {
  it('does not count the wait for its turn into the timeout of a call', async (t) => {
    const { client, clock, requests } = await harness(t, { qps: 0.02 });
    await client.call('GET', '/first');
    const second = client.call('GET', '/second', { timeoutMs: 30_000 });
    await clock.advance(49_999);
    assert.deepEqual(requests, ['GET /first']);
    await clock.advance(1);
    assert.deepEqual(await second, {});
  });

  it('sends an unpaced call although others wait for their turn', async (t) => {
    const { client, requests } = await harness(t, { qps: 0.02 });
    await client.call('GET', '/first');
    const waiting = new AbortController();
    const call = assert.rejects(client.call('GET', '/waits', { signal: waiting.signal }), /given up/);
    await client.call('GET', '/lease', { unpaced: true });
    assert.deepEqual(requests, ['GET /first', 'GET /lease']);
    waiting.abort(new Error('given up'));
    await call;
  });

  it('shares 64 connections among many calls, and leaves the Lease its own', async (t) => {
    const held: ServerResponse[] = [];
    const sockets = new Set<unknown>();
    let answering = false;
    const { client, nextRequest } = await harness(t, {
      qps: 1_000,
      answer({ url, socket }, response) {
        sockets.add(socket);
        if (answering || url === '/lease') response.end('{}');
        else held.push(response);
      },
    });
    const calls = Array.from({ length: 300 }, () => client.call('GET', '/call'));
    while (held.length < 64) await nextRequest();
    await client.call('GET', '/lease', { unpaced: true });
    assert.deepEqual([held.length, sockets.size], [64, 65]);
    answering = true;
    for (const response of held) response.end('{}');
    await Promise.all(calls);
    assert.equal(sockets.size, 65);
  });

  it('ends a call that gets no answer within its timeout', async (t) => {
    const { client, clock, nextRequest } = await harness(t, { qps: 10, answer: () => undefined });
    const arrived = nextRequest();
    const call = client.call('GET', '/hangs', { timeoutMs: 1000 });
    const rejected = assert.rejects(call, /no answer within 1000 ms/);
    await arrived;
    await clock.advance(1000);
    await rejected;
    assert.equal(clock.timers, 0);
  });

  it('ends a watch that sends nothing for inactivityMs', async (t) => {
    const streams: ServerResponse[] = [];
    const { client, clock } = await harness(t, {
      qps: 10,
      answer: (_request, response) => {
        streams.push(response);
        response.write('{"n":1}\n');
      },
    });
    const watch = client.watch('/stream', { query: {}, inactivityMs: 1000, signal: new AbortController().signal });
    assert.deepEqual(await watch.next(), { done: false, value: { n: 1 } });
    const second = watch.next();
    await clock.advance(900);
    streams[0]?.write('{"n":2}\n');
    assert.deepEqual(await second, { done: false, value: { n: 2 } });
    const third = assert.rejects(watch.next(), IdleWatchError);
    await clock.advance(1000);
    await third;
    assert.equal(clock.timers, 0);
  });

  for (const { body, reason, message } of [
    { body: '{"reason":"Forbidden","message":"no"}', reason: 'Forbidden', message: 'no' },
    { body: 'a proxy says no', reason: '', message: 'a proxy says no' },
    { body: '', reason: '', message: 'HTTP 403' },
  ])
    it(`throws a KubeError for the error answer '${body}'`, async (t) => {
      const { client } = await harness(t, { qps: 10, answer: (_request, response) => response.writeHead(403).end(body) });
      await assert.rejects(
        client.call('GET', '/'),
        (error) => error instanceof KubeError && error.status === 403 && error.reason === reason && error.message === message,
      );
    });
});
