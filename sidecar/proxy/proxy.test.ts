// What an application gets when all is well, in both protocols, on a fake clock.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hang, row } from '../testing/fixtures.ts';
import { bodyOf, startProxyHarness } from '../testing/proxy-harness.ts';

const hour = 3_600_000;

test('answers in the form of IMDS, with resource and selector as sent', async () => {
  const harness = await startProxyHarness();
  await harness.bind([row('a')]);
  const response = await harness.requestToken('resource=https%3A%2F%2FVault.azure.net%2F&client_id=CLIENT-of-a');
  assert.equal(response.headers.get('content-type'), 'application/json; charset=utf-8');
  assert.match(response.headers.get('server') ?? '', /IMDS/);
  const { access_token, not_before, ...rest } = await bodyOf(response);
  assert.equal(access_token, 'token-of-a-1');
  assert.match(not_before ?? '', /^\d+$/);
  assert.deepEqual(rest, {
    client_id: 'CLIENT-of-a',
    expires_in: '86400',
    expires_on: String(Math.floor(harness.clock.wall() / 1000) + 86_400),
    ext_expires_in: '86400',
    resource: 'https://Vault.azure.net/',
    token_type: 'Bearer',
  });
  await harness.proxy.close();
});

test('answers from the cache with the seconds that are left', async () => {
  const harness = await startProxyHarness();
  await harness.bind([row('a')]);
  await harness.requestToken();
  await harness.clock.advance(10 * hour);
  assert.equal((await bodyOf(await harness.requestToken())).expires_in, String(14 * 3600));
  assert.equal(harness.sent.imds.length, 1);
  await harness.proxy.close();
});

test('sends IMDS one selector and its own headers, and nothing else of the caller', async () => {
  const harness = await startProxyHarness();
  await harness.bind([row('a'), row('b')]);
  await harness.requestToken('resource=r%26msi_res_id%3Devil&object_id=object-of-b&authority=evil&x=y&xms_cc=cp1&api-version=2025-04-07', {
    headers: { metadata: 'true', authorization: 'x', cookie: 'y', 'x-client-sku': 'z', via: 'w' },
  });
  const [{ url, options } = assert.fail('nothing was sent')] = harness.sent.imds;
  assert.equal(url.origin + url.pathname, 'http://169.254.169.254/metadata/identity/oauth2/token');
  assert.deepEqual(
    [...url.searchParams],
    [
      ['api-version', '2018-02-01'],
      ['resource', 'r&msi_res_id=evil'],
      ['msi_res_id', row('b').resourceID],
      ['xms_cc', 'cp1'],
    ],
  );
  assert.deepEqual(Object.keys(options.headers).sort(), ['accept', 'metadata', 'user-agent']);
  assert.equal(options.redirect, 'manual');
  await harness.proxy.close();
});

test('serves a hundred callers with one fetch, also after one of them left', async () => {
  const harness = await startProxyHarness();
  await harness.bind([row('a')]);
  harness.respond.imds = (_url, options) => hang(options);
  const leaving = new AbortController();
  const left = harness.requestToken('resource=r', { signal: leaving.signal });
  const waiting = Array.from({ length: 100 }, () => harness.requestToken());
  await harness.clock.advance(1000);
  leaving.abort();
  await left;
  harness.respond.imds = (url) => harness.tokenResponse(url);
  await harness.clock.advance(20_000);
  for (const response of waiting) assert.equal((await response).status, 200);
  assert.equal(harness.sent.imds.length, 2, 'the attempt that hung and its retry');
  await harness.proxy.close();
});

test('serves a token of the new identity when it changes during the fetch', async () => {
  const harness = await startProxyHarness();
  await harness.bind([row('a')]);
  harness.respond.imds = (_url, options) => hang(options);
  const waiting = harness.requestToken(`resource=r&msi_res_id=${encodeURIComponent(row('a').resourceID)}`);
  await harness.clock.advance(100);
  assert.equal(harness.sent.imds.length, 1);
  harness.respond.imds = (url) => harness.tokenResponse(url, { client_id: 'recreated' });
  await harness.bind([row('a', { clientID: 'recreated' })]);
  const body = await bodyOf(await harness.responseAfter(1000, waiting));
  assert.deepEqual([body.access_token, body.client_id], ['token-of-a-2', 'recreated']);
  assert.equal(harness.sent.imds[0]?.options.signal.aborted, true);
  await harness.proxy.close();
});

test('asks IMDS with bypass_cache at most once in 30 s for a token', async () => {
  const harness = await startProxyHarness();
  await harness.bind([row('a')]);
  await harness.requestToken();
  for (let i = 0; i < 5; i += 1) await harness.requestToken('resource=r&bypass_cache=true');
  assert.deepEqual(
    harness.sent.imds.map(({ url }) => url.searchParams.get('bypass_cache')),
    [null, 'true'],
  );
  await harness.clock.advance(30_000);
  await harness.requestToken('resource=r&bypass_cache=true');
  assert.equal(harness.sent.imds.length, 3);
  await harness.proxy.close();
});

test('holds a request until its identity is bound and assigned', async () => {
  const harness = await startProxyHarness();
  const waiting = harness.requestToken();
  assert.equal(await harness.responseAfter(1000, waiting), undefined, 'not bound');
  await harness.bind([row('a', { state: 'Created', reason: 'PATCH under way' })]);
  assert.equal(await harness.responseAfter(1000, waiting), undefined, 'not assigned');
  assert.equal(harness.sent.imds.length, 0);
  await harness.bind([row('a')]);
  assert.equal((await waiting).status, 200);
  assert.ok(harness.keptOpen.count > 0);
  await harness.proxy.close();
});

test('serves only cached tokens while an assigned identity is attached again', async () => {
  const harness = await startProxyHarness();
  await harness.bind([row('a')]);
  await harness.requestToken();
  await harness.bind([row('a', { state: 'Created' })]);
  assert.equal((await harness.requestToken()).status, 200);
  const other = await harness.responseAfter(46_000, harness.requestToken('resource=other'));
  assert.equal(other?.status, 503);
  await harness.proxy.close();
});

test('answers in the form of App Service to callers with the identity header', async () => {
  const harness = await startProxyHarness({ flags: ['--identity-header=uid-1'] });
  await harness.bind([row('a')]);
  const headers = { 'x-identity-header': 'uid-1' };
  const token = await bodyOf(await harness.request('/msi/token?api-version=2019-08-01&resource=r', { headers }));
  assert.ok(token.expires_on !== undefined && token.expires_in !== undefined && token.token_type === 'Bearer');
  const error = await harness.responseAfter(5100, harness.request('/msi/token?resource=r&client_id=x', { headers }));
  assert.equal(error?.status, 400);
  assert.deepEqual(Object.keys(await bodyOf(error)), ['statusCode', 'message']);
  for (const sent of ['', 'uid-', 'uid-2', 'uid-11'])
    assert.equal((await harness.request('/msi/token?resource=r', { headers: { 'x-identity-header': sent } })).status, 401, sent);
  await harness.proxy.close();
});

test('answers waiting requests at once and leaves no timer when it closes', async () => {
  const harness = await startProxyHarness();
  await harness.bind([row('a', { state: 'Created' })]);
  const waiting = harness.requestToken();
  await harness.clock.advance(1000);
  await harness.proxy.close();
  assert.equal((await waiting).status, 503);
  assert.equal(harness.clock.timers, 0);
});
