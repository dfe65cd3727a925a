import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseListener, serveSmall } from './http.ts';
import { SettingsError } from './settings.ts';

describe('a listener', () => {
  for (const [text, host, port] of [
    [':8080', '0.0.0.0', 8080],
    ['127.0.0.1:0', '127.0.0.1', 0],
    ['[::1]:80', '::1', 80],
  ] as const) {
    it(`is read from ${text}`, () => assert.deepEqual(parseListener('--x', text), { host, port }));
  }

  for (const text of ['8080', 'host', ':70000', '::1:80', ''])
    it(`is refused as '${text}', by the name of the setting and the accepted form`, () =>
      assert.throws(
        () => parseListener('--probes-listen', text),
        (error) => error instanceof SettingsError && /--probes-listen is '.*accepted is address:port or :port/.test(error.message),
      ));
});

describe('the server of probes and metrics', () => {
  const local = { host: '127.0.0.1', port: 0 };

  it('answers exact paths, GET only, and stops', async () => {
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

  it('answers 500 where a route fails, and the next request', async () => {
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

  it('says which address is taken', async () => {
    const first = await serveSmall(local, {});
    await assert.rejects(serveSmall({ ...local, port: first.port }, {}), /127\.0\.0\.1:\d+ is in use by another program/);
    await first.stop();
  });
});
