import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createFakeClock } from '../common/testing/fake-clock.ts';
import type { Fetch } from './http.ts';
import { describeFetchError, fetchWhole, NoAnswerError } from './http.ts';
import { hang } from './testing/fixtures.ts';

const url = new URL('http://imds/path?q=1');

test('returns the response and leaves no timer', async () => {
  const clock = createFakeClock();
  const fetch: Fetch = (href, { redirect }) => Promise.resolve(new Response(`${href} ${redirect}`, { status: 404 }));
  const { status, bytes } = await fetchWhole({ fetch, clock }, url, { headers: {} }, { timeoutMs: 1000 });
  assert.deepEqual([status, String(Buffer.from(bytes))], [404, 'http://imds/path?q=1 manual']);
  assert.equal(clock.timers, 0);
});

test('rejects when no response comes in time', async () => {
  const clock = createFakeClock();
  const pending = fetchWhole({ fetch: (_url, options) => hang(options), clock }, url, { headers: {} }, { timeoutMs: 1000 });
  const rejected = assert.rejects(pending, { name: 'NoAnswerError', code: 'no_answer' });
  await clock.advance(1000);
  await rejected;
});

test('rejects when the caller aborts, before the request or during it', async () => {
  const clock = createFakeClock();
  const controller = new AbortController();
  const send = () =>
    fetchWhole({ fetch: (_url, options) => hang(options), clock }, url, { headers: {} }, { timeoutMs: 1000, signal: controller.signal });
  const during = assert.rejects(send(), { name: 'AbortError' });
  controller.abort();
  await during;
  await assert.rejects(send(), { name: 'AbortError' });
  assert.equal(clock.timers, 0);
});

test('describes a failed fetch by its code and message', () => {
  const refused = Object.assign(new Error('Unable to connect'), { code: 'ConnectionRefused' });
  assert.equal(describeFetchError(refused), 'ConnectionRefused: Unable to connect');
  assert.equal(describeFetchError(new Error('ECONNRESET')), 'ECONNRESET');
  assert.equal(describeFetchError(new NoAnswerError()), 'no answer in time');
  assert.equal(describeFetchError(new Error('Is it there?')), 'Is it there');
  assert.equal(describeFetchError('text'), 'unknown error');
});
