import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hang, json, row } from '../testing/fixtures.ts';
import { bodyOf, startProxyHarness } from '../testing/proxy-harness.ts';

test('rebuilds the token request of an excepted pod for IMDS and caches nothing', async () => {
  const harness = await startProxyHarness();
  await harness.bind([row('a')], { excepted: true });
  harness.respond.imds = () => json({ access_token: 'of-the-node' });
  for (let i = 0; i < 2; i += 1) {
    const response = await harness.requestToken('resource=r&mi_res_id=%2Fx&bypass_cache=true&evil=1');
    assert.equal((await bodyOf(response)).access_token, 'of-the-node');
  }
  assert.equal(harness.sent.imds.length, 2);
  assert.equal(harness.sent.imds[0]?.url.search, '?api-version=2018-02-01&resource=r&msi_res_id=%2Fx&bypass_cache=true');
  await harness.proxy.close();
});

test('validates the token request of an excepted pod and passes errors of IMDS on', async () => {
  const harness = await startProxyHarness();
  await harness.bind([row('a')], { excepted: true });
  assert.equal((await harness.requestToken('resource=')).status, 400);
  assert.equal(harness.sent.imds.length, 0);
  harness.respond.imds = () => json({ error: 'invalid_request', error_description: 'Identity not found' }, 400);
  assert.equal((await harness.requestToken()).status, 400);
  assert.equal(harness.sent.imds.length, 1);
  await harness.proxy.close();
});

test('passes a document of IMDS on with status, content type and body only', async () => {
  const harness = await startProxyHarness();
  harness.respond.imds = () =>
    new Response('Standard_D2', { headers: { 'content-type': 'text/plain', 'x-evil': '1', connection: 'close' } });
  const leaf = await harness.request('/metadata/instance/compute/vmSize?api-version=2021-02-01&format=text');
  assert.equal(await leaf.text(), 'Standard_D2');
  assert.equal(leaf.headers.get('x-evil'), null);
  assert.equal(leaf.headers.get('content-type'), 'text/plain');
  harness.respond.imds = () => json({ error: 'Bad request', 'newest-versions': ['1'] }, 400);
  assert.deepEqual(await bodyOf(await harness.request('/metadata/instance')), { error: 'Bad request', 'newest-versions': ['1'] });
  await harness.proxy.close();
});

test('passes the bytes and the certificate chains of collateral on', async () => {
  const harness = await startProxyHarness();
  const der = Uint8Array.from([0x30, 0x82, 0xff, 0xfe, 0x00, 0x80]);
  harness.respond.imds = () =>
    new Response(der, {
      headers: { 'content-type': 'application/pkix-crl', 'SGX-PCK-CRL-Issuer-Chain': 'a%0A', 'cache-control': 'max-age=9' },
    });
  const response = await harness.request('/metadata/THIM/sgx/certification/v4/pckcrl?ca=platform&encoding=der');
  assert.deepEqual(new Uint8Array(await response.arrayBuffer()), der);
  assert.equal(response.headers.get('sgx-pck-crl-issuer-chain'), 'a%0A');
  assert.equal(response.headers.get('cache-control'), 'max-age=9');
  assert.equal(harness.sent.imds[0]?.url.href, 'http://169.254.169.254/metadata/THIM/sgx/certification/v4/pckcrl?ca=platform&encoding=der');
  await harness.proxy.close();
});

const approve = { method: 'POST', body: '{"DocumentIncarnation":5,"StartRequests":[{"EventId":"C7061BAC-1","x":1}]}' };
const events = '/metadata/scheduledevents?api-version=2020-07-01';

test('refuses to approve an event by default, and names the chart value', async () => {
  const harness = await startProxyHarness();
  await harness.bind([row('a')]);
  const refused = await harness.request(events, approve);
  assert.equal(refused.status, 403);
  assert.match((await bodyOf(refused)).error_description ?? '', /sidecar\.scheduledEventsNamespaces/);
  assert.equal(harness.sent.imds.length, 0);
  assert.equal((await harness.request(events)).status, 200, 'events may be read');
  await harness.proxy.close();
});

test('approves an event where that is allowed, with a body of its own', async () => {
  const harness = await startProxyHarness({ flags: ['--allow-event-approval'] });
  harness.respond.imds = () => new Response('', { headers: { 'content-type': 'application/json' } });
  assert.equal((await harness.request(events, approve)).status, 200);
  const [sent] = harness.sent.imds;
  assert.deepEqual([sent?.url.href, sent?.options.method], [`http://169.254.169.254${events}`, 'POST']);
  assert.equal(sent?.options.body, '{"StartRequests":[{"EventId":"C7061BAC-1"}]}');
  assert.equal(sent?.options.headers.metadata, 'true');
  for (const body of ['', '{}', '{"StartRequests":[]}', '{"StartRequests":[{"EventId":"a b"}]}', '{"StartRequests":[{}]}'])
    assert.equal((await harness.request(events, { method: 'POST', body })).status, 400, body);
  assert.equal(harness.sent.imds.length, 1);
  await harness.proxy.close();
});

test('lets an excepted pod approve events', async () => {
  const harness = await startProxyHarness();
  await harness.bind([row('a')], { excepted: true });
  assert.equal((await harness.request(events, approve)).status, 200);
  await harness.proxy.close();
});

test('passes a TD report on, without a header Metadata', async () => {
  const harness = await startProxyHarness();
  harness.respond.imds = () => json({ quote: 'q' });
  const report = (body: string) => harness.request('/acc/tdquote', { method: 'POST', headers: {}, body });
  assert.deepEqual(await bodyOf(await report('{"report":"AQ-_","x":1}')), { quote: 'q' });
  assert.equal(harness.sent.imds[0]?.options.body, '{"report":"AQ-_"}');
  assert.equal((await report('{"report":"<x>"}')).status, 400);
  await harness.proxy.close();
});

test('answers 503 as JSON when IMDS redirects or fails with a page', async () => {
  const harness = await startProxyHarness();
  harness.respond.imds = () => new Response('<html>', { status: 502, headers: { 'content-type': 'text/html' } });
  assert.equal((await harness.request('/metadata/versions')).status, 503);
  harness.respond.imds = () => new Response(null, { status: 301, headers: { location: 'http://evil.example' } });
  const redirected = await harness.request('/metadata/versions');
  assert.deepEqual([redirected.status, redirected.headers.get('location')], [503, null]);
  assert.match((await bodyOf(redirected)).error_description ?? '', /^IMDS answered HTTP 301$/);
  await harness.proxy.close();
});

test('sends one document request at a time, and answers 429 while 20 wait', async () => {
  const harness = await startProxyHarness();
  await harness.bind([row('a')]);
  harness.respond.imds = (url, options) => (url.pathname.includes('instance') ? hang(options) : harness.tokenResponse(url));
  const asked = Array.from({ length: 30 }, () => harness.request('/metadata/instance'));
  const refused = await Promise.all(asked.slice(21));
  for (const response of refused) assert.deepEqual([response.status, response.headers.get('retry-after')], [429, '5']);
  assert.equal(harness.sent.imds.length, 1);
  assert.equal((await harness.requestToken()).status, 200, 'a token passes the documents');
  await harness.clock.advance(46_000);
  assert.deepEqual(new Set(await Promise.all(asked.map(async (response) => (await response).status))), new Set([429, 503]));
  await harness.proxy.close();
});

test('sends the token requests of an excepted pod through the same gate', async () => {
  const harness = await startProxyHarness();
  await harness.bind([row('a')], { excepted: true });
  harness.respond.imds = (_url, options) => hang(options);
  const asked = Array.from({ length: 22 }, (_, n) => harness.requestToken(`resource=${n}`));
  await harness.clock.advance(100);
  assert.equal(harness.sent.imds.length, 1);
  assert.equal((await asked[21])?.status, 429);
  await harness.clock.advance(46_000);
  await Promise.all(asked);
  await harness.proxy.close();
});
