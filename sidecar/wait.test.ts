import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createFakeClock } from '../common/testing/fake-clock.ts';
import { waitForProxy } from './wait.ts';

test('waits until the proxy answers its own route, and takes no other listener for it', async () => {
  const clock = createFakeClock();
  const urls: string[] = [];
  const fetch = (url: string) => {
    urls.push(url);
    if (urls.length < 4) return Promise.reject(new Error('refused'));
    return Promise.resolve(new Response('nonce', { status: urls.length === 4 ? 404 : 200 }));
  };
  const waiting = waitForProxy({ address: '127.0.0.1:2579', timeoutMs: 30_000, fetch, clock });
  await clock.advance(2000);
  assert.equal(await waiting, true);
  assert.equal(urls.length, 5);
  assert.equal(urls[0], 'http://127.0.0.1:2579/nonce');
});

test('stops waiting for the proxy when the time is over', async () => {
  const clock = createFakeClock();
  const waiting = waitForProxy({ address: 'x:1', timeoutMs: 3000, fetch: () => Promise.reject(new Error('refused')), clock });
  await clock.advance(3100);
  assert.equal(await waiting, false);
});
