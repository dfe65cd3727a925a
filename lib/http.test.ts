import assert from 'node:assert/strict';
import os from 'node:os';
import { describe, it } from 'node:test';
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
    const addresses = Object.values(os.networkInterfaces()).flatMap((each) => each ?? []);
    const hosts = ['127.0.0.1', ...(addresses.some(({ address }) => address === '::1') ? ['[::1]'] : [])];
    for (const host of hosts) assert.equal((await fetch(`http://${host}:${server.port}/`)).status, 200, host);
  });

  it('names the address that is in use', async () => {
    const first = await serveSmall(local, {});
    await assert.rejects(serveSmall({ ...local, port: first.port }, {}), /127\.0\.0\.1:\d+ is in use by another program/);
    await first.stop();
  });

  it('answers /readyz with 503 and the problem, or with 200', () => {
    assert.deepEqual(readinessAnswer(undefined), { status: 200, body: 'ready\n' });
    assert.deepEqual(readinessAnswer('stopping'), { status: 503, body: 'not ready: stopping\n' });
  });
});
