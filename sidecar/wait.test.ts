// The start gate: ends once the proxy answers, gives up clearly.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createFakeClock } from '../common/testing/fake-clock.ts';
import { waitForProxy } from './wait.ts';

describe('wait', () => {
  it('ends once the proxy answers its own route', async () => {
    const clock = createFakeClock();
    const urls: string[] = [];
    const fetch = (url: string) => {
      urls.push(url);
      return urls.length < 4
        ? Promise.reject(new Error('refused'))
        : Promise.resolve(new Response('nonce', { status: urls.length === 4 ? 404 : 200 }));
    };
    const waiting = waitForProxy({ listen: '127.0.0.1:2579', timeoutMs: 30_000, fetch, clock });
    await clock.advance(2000);
    assert.equal(await waiting, true);
    assert.equal(urls.length, 5, 'somebody else on that port is not the proxy');
    assert.equal(urls[0], 'http://127.0.0.1:2579/nonce');
  });

  it('gives up after its time', async () => {
    const clock = createFakeClock();
    const waiting = waitForProxy({ listen: 'x:1', timeoutMs: 3000, fetch: () => Promise.reject(new Error('refused')), clock });
    await clock.advance(3100);
    assert.equal(await waiting, false);
  });
});
