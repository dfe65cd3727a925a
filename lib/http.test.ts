import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import type { TestContext } from 'node:test';
import { describe, it } from 'node:test';
import { hasIpv6 } from '../common/testing/ipv6.ts';
import { parseListener, readinessAnswer, serveSmall } from './http.ts';
import { SettingsError } from './settings.ts';

describe('parseListener', () => {
  for (const [text, host, port] of [
    [':8080', '', 8080],
    ['127.0.0.1:0', '127.0.0.1', 0],
    ['[::1]:80', '::1', 80],
    ['[::]:80', '::', 80],
  ] as const) {
    it(`reads '${text}' as a listener`, () => assert.deepEqual(parseListener('--x', text), { host, port }));
  }

  for (const text of ['8080', 'host', ':70000', '::1:80', ''])
    it(`refuses the listener '${text}' by the name of the setting and the accepted form`, () =>
      assert.throws(
        () => parseListener('--probes-listen', text),
        (error) => error instanceof SettingsError && /--probes-listen is '.*accepted is address:port or :port/.test(error.message),
      ));
});

describe('serveSmall', () => {
  const local = { host: '127.0.0.1', port: 0 };

  it('answers GET of exact paths only, and nothing after its stop', async () => {
    const server = await serveSmall(local, { '/healthz': () => ({ status: 200, body: 'Active' }) });
    const ask = async (path: string, method = 'GET') => {
      const response = await fetch(`http://127.0.0.1:${server.port}${path}`, { method });
      return `${response.status} ${await response.text()}`;
    };
    assert.equal(await ask('/healthz?verbose'), '200 Active');
    assert.equal(await ask('/healthz/'), '404 not found\n');
    assert.equal(await ask('/healthz', 'POST'), '405 only GET\n');
    await server.stop();
    await assert.rejects(ask('/healthz'));
  });

  it('answers 500 when a route throws, and goes on', async () => {
    let calls = 0;
    const server = await serveSmall(local, {
      '/metrics': () => {
        calls += 1;
        if (calls === 1) throw new Error('a secret');
        return { status: 200, body: 'fine' };
      },
    });
    const first = await fetch(`http://127.0.0.1:${server.port}/metrics`);
    assert.equal(`${first.status} ${await first.text()}`, '500 internal error\n');
    assert.equal((await fetch(`http://127.0.0.1:${server.port}/metrics`)).status, 200);
    await server.stop();
  });

  it('listens on IPv6 and IPv4 when the listener has no address', async (t) => {
    const server = await serveSmall(parseListener('--x', ':0'), { '/': () => ({ status: 200, body: 'fine' }) });
    t.after(() => server.stop());
    const hosts = ['127.0.0.1', ...(hasIpv6() ? ['[::1]'] : [])];
    for (const host of hosts) assert.equal((await fetch(`http://${host}:${server.port}/`)).status, 200, host);
  });

  it('names the address that is in use', async () => {
    const first = await serveSmall(local, {});
    await assert.rejects(serveSmall({ ...local, port: first.port }, {}), /127\.0\.0\.1:\d+ is in use by another program/);
    await first.stop();
  });

  describe('serveSmall with clients that misbehave', () => {
    const routes = { '/healthz': () => ({ status: 200, body: 'fine' }) };
    /** Resolves with all that the server sent once it has closed the connection. */
    const open = async (t: TestContext, port: number, { localAddress = '127.0.0.1', send = '' } = {}) => {
      const socket = net.connect({ host: '127.0.0.1', port, localAddress });
      t.after(() => socket.destroy());
      let text = '';
      socket.setEncoding('latin1').on('data', (chunk: string) => {
        text += chunk;
      });
      // A connection that the server resets is closed too.
      socket.on('error', () => {});
      const closed = new Promise<string>((resolve) => socket.on('close', () => resolve(text)));
      await once(socket, 'connect');
      socket.write(send);
      return { socket, closed };
    };
    const ask = (t: TestContext, port: number, localAddress?: string) =>
      open(t, port, { send: 'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n', ...(localAddress === undefined ? {} : { localAddress }) });

    it('closes the oldest connection of a source that has too many', async (t) => {
      const server = await serveSmall(local, routes, { connections: 100, connectionsPerSource: 2, lifetimeMs: 60_000 });
      t.after(() => server.stop());
      const other = await open(t, server.port, { localAddress: '127.0.0.2' });
      const oldest = await open(t, server.port);
      const middle = await open(t, server.port);
      assert.match(await (await ask(t, server.port)).closed, /\r\nfine\r\n/);
      assert.equal(await oldest.closed, '');
      assert.deepEqual([other.socket.closed, middle.socket.closed], [false, false]);
    });

    it('closes the oldest connection of all to answer a probe when it is full', async (t) => {
      const server = await serveSmall(local, routes, { connections: 4, connectionsPerSource: 2, lifetimeMs: 60_000 });
      t.after(() => server.stop());
      const silent = await Promise.all(
        ['127.0.0.2', '127.0.0.2', '127.0.0.3', '127.0.0.3'].map((localAddress) => open(t, server.port, { localAddress })),
      );
      assert.match(await (await ask(t, server.port)).closed, /\r\nfine\r\n/);
      assert.equal(await Promise.race(silent.map(({ closed }) => closed)), '');
    });

    it('closes each connection at the end of its lifetime, whatever it sends', async (t) => {
      const server = await serveSmall(local, routes, { connections: 100, connectionsPerSource: 10, lifetimeMs: 50 });
      t.after(() => server.stop());
      const silent = await open(t, server.port);
      const slow = await open(t, server.port, { send: 'GET /healthz HTTP/1.1\r\n' });
      const timer = setInterval(() => slow.socket.write('a: b\r\n'), 5);
      t.after(() => clearInterval(timer));
      assert.deepEqual(await Promise.all([silent.closed, slow.closed]), ['', '']);
    });

    it('serves the first of a thousand pipelined requests', async (t) => {
      let served = 0;
      const count = () => {
        served += 1;
        return { status: 200, body: 'fine' };
      };
      const server = await serveSmall(local, { '/metrics': count });
      t.after(() => server.stop());
      const { closed } = await open(t, server.port, { send: 'GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(1000) });
      assert.match(await closed, /^HTTP\/1\.1 200 .*\r\nfine\r\n/s);
      assert.equal(served, 1);
    });
  });

  it('answers /readyz with 503 and the problem, or with 200', () => {
    assert.deepEqual(readinessAnswer(undefined), { status: 200, body: 'ready\n' });
    assert.deepEqual(readinessAnswer('stopping'), { status: 503, body: 'not ready: stopping\n' });
  });
});
