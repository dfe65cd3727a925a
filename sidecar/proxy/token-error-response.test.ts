// What an application gets when IMDS or the broker gives no token, on a fake clock.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hang, json, row } from '../testing/fixtures.ts';
import { bodyOf, messageOf, startProxyHarness } from '../testing/proxy-harness.ts';

const minute = 60_000;
const imdsNotFound = { error: 'invalid_request', error_description: 'Identity not found' };
const isReport = ({ url }: { url: URL }) => url.pathname === '/v1/report';

test('answers 503 and reports when IMDS does not know a fresh assignment for 15 s', async () => {
  const harness = await startProxyHarness();
  await harness.bind([row('a', { assignedAt: new Date(harness.clock.wall() - minute).toISOString() })]);
  harness.respond.imds = () => json(imdsNotFound, 400, { 'x-ms-request-id': 'req-1' });
  const response = await harness.responseAfter(16_000, harness.requestToken());
  assert.equal(response?.status, 503);
  assert.equal(response?.headers.get('retry-after'), '10');
  assert.equal(harness.sent.imds.length, 5);
  const report = harness.sent.broker.find(isReport);
  assert.deepEqual(JSON.parse(report?.options.body ?? ''), { identity: 'team/a', reason: 'identity_not_found', requestId: 'req-1' });
  await harness.responseAfter(20_000, harness.requestToken());
  assert.equal(harness.sent.broker.filter(isReport).length, 1, 'at most one report in 5 min');
  await harness.proxy.close();
});

test('answers 400 when IMDS does not know an assignment of ten minutes ago', async () => {
  const harness = await startProxyHarness();
  await harness.bind([row('a', { assignedAt: new Date(harness.clock.wall() - 11 * minute).toISOString() })]);
  harness.respond.imds = () => json(imdsNotFound, 400);
  const response = await harness.responseAfter(16_000, harness.requestToken());
  assert.equal(response?.status, 400);
  assert.match(await messageOf(response), /^Identity not found: IMDS does not know/);
  await harness.proxy.close();
});

for (const [name, respond, status, retryAfter] of [
  ['404', () => json({ error: 'not_found' }, 404), 503, '5'],
  ['410', () => json({}, 410), 410, null],
  ['429', () => json({ error: 'invalid_request', error_description: 'Temporarily throttled, too many requests' }, 429), 429, '5'],
  ['500', () => json({ error: 'server_error' }, 500), 503, '5'],
  ['500 as text', () => new Response('oops', { status: 500, headers: { 'content-type': 'text/plain' } }), 503, '5'],
  ['a redirect', () => new Response(null, { status: 302, headers: { location: 'http://evil.example/', server: 'IMDS/1' } }), 503, '5'],
  ['200 without a token', () => json({ hello: 1 }), 503, '5'],
  ['with a refused connection', () => Promise.reject(new Error('ECONNREFUSED')), 503, '5'],
] as const) {
  test(`answers ${status} when IMDS answers ${name} until the deadline`, async () => {
    const harness = await startProxyHarness();
    await harness.bind([row('a')]);
    harness.respond.imds = respond;
    const response = await harness.responseAfter(46_000, harness.requestToken());
    assert.equal(response?.status, status);
    assert.equal(response?.headers.get('retry-after'), retryAfter);
    assert.match(response?.headers.get('content-type') ?? '', /json/);
    assert.equal(typeof (await bodyOf(response)).error_description, 'string');
    assert.ok(harness.sent.imds.length > 3);
    await harness.proxy.close();
  });

  test(`answers 200 when IMDS answers ${name} and then a token`, async () => {
    const harness = await startProxyHarness();
    await harness.bind([row('a')]);
    harness.respond.imds = (url) => (harness.sent.imds.length < 3 ? respond() : harness.tokenResponse(url));
    assert.equal((await harness.responseAfter(25_000, harness.requestToken()))?.status, 200);
    await harness.proxy.close();
  });
}

test('names the annotation federate after two attempts when IMDS hangs', async () => {
  const harness = await startProxyHarness();
  await harness.bind([row('a')]);
  harness.respond.imds = (_url, options) => hang(options);
  const response = await harness.responseAfter(16_500, harness.requestToken());
  assert.equal(response?.status, 503);
  assert.equal(response?.headers.get('retry-after'), '20');
  assert.match(
    await messageOf(response),
    /from IMDS: it has answered nothing since 2.*Z, while the identity broker answers.*AKS.*kubectl annotate azureidentity -n team a aadpodidentity\.k8s\.io\/assignment=federate$/,
  );
  assert.equal(harness.sent.imds.length, 2);
  await harness.proxy.close();
});

test('answers 503 within a second while IMDS hangs, and 200 once it answers', async () => {
  const harness = await startProxyHarness();
  await harness.bind([row('a')]);
  harness.respond.imds = (_url, options) => hang(options);
  await harness.responseAfter(16_500, harness.requestToken());
  for (const resource of ['b', 'c'])
    assert.equal((await harness.responseAfter(1_000, harness.requestToken(`resource=${resource}`)))?.status, 503, resource);
  harness.respond.imds = (url) => harness.tokenResponse(url);
  assert.equal((await harness.responseAfter(1_000, harness.requestToken('resource=d')))?.status, 200);
  harness.respond.imds = (_url, options) => hang(options);
  assert.equal(await harness.responseAfter(9_000, harness.requestToken('resource=e')), undefined, 'it may be slow for a moment');
  await harness.proxy.close();
});

test('gives a slow IMDS ten seconds once in 30 s', async () => {
  const harness = await startProxyHarness();
  await harness.bind([row('a')]);
  harness.respond.imds = (_url, options) => hang(options);
  await harness.responseAfter(16_500, harness.requestToken());
  await harness.clock.advance(30_000);
  harness.respond.imds = async (url) => {
    await new Promise<void>((resolve) => harness.clock.after(8_000, resolve));
    return harness.tokenResponse(url);
  };
  assert.equal((await harness.responseAfter(8_000, harness.requestToken()))?.status, 200);
  await harness.proxy.close();
});

test('waits until the deadline when neither IMDS nor the broker answers', async () => {
  const harness = await startProxyHarness();
  await harness.bind([row('a')]);
  harness.respond.imds = (_url, options) => hang(options);
  harness.respond.poll = () => Promise.reject(new Error('ConnectionRefused'));
  await harness.bind([row('a', { reason: 'changed' })]);
  const pending = harness.requestToken();
  assert.equal(await harness.responseAfter(40_000, pending), undefined);
  const response = await harness.responseAfter(5_100, pending);
  assert.equal(response?.status, 503);
  assert.doesNotMatch(await messageOf(response), /federate/);
  assert.ok(harness.sent.imds.length >= 3);
  await harness.proxy.close();
});

test('answers with the valid token at the deadline when IMDS hangs during a bypass', async () => {
  const harness = await startProxyHarness({ flags: ['--request-deadline=5'] });
  await harness.bind([row('a')]);
  const first = await bodyOf(await harness.requestToken());
  harness.respond.imds = (_url, options) => hang(options);
  const response = await harness.responseAfter(5100, harness.requestToken('resource=r&bypass_cache=true'));
  assert.equal((await bodyOf(response)).access_token, first.access_token);
  await harness.proxy.close();
});

test('answers with the valid token while IMDS throttles the refresh', async () => {
  const harness = await startProxyHarness();
  await harness.bind([row('a')]);
  const first = await bodyOf(await harness.requestToken());
  harness.respond.imds = () => json({ error: 'invalid_request', error_description: 'Temporarily throttled' }, 429);
  await harness.clock.advance(14 * 60 * minute);
  for (const query of ['resource=r', 'resource=r&bypass_cache=true']) {
    const response = await harness.responseAfter(46_000, harness.requestToken(query));
    assert.equal(response?.status, 200, query);
    assert.equal((await bodyOf(response)).access_token, first.access_token);
  }
  assert.ok(harness.sent.imds.length > 3);
  await harness.proxy.close();
});

for (const [status, error, text] of [
  [400, 'invalid_resource', 'AADSTS500011: no such resource'],
  [401, 'unauthorized_client', 'no'],
  [403, 'access_denied', 'network unreachable'],
] as const) {
  test(`passes error ${status} of IMDS on at once, without the word unreachable`, async () => {
    const harness = await startProxyHarness();
    await harness.bind([row('a')]);
    harness.respond.imds = () => json({ error, error_description: text }, status);
    const response = await harness.requestToken();
    assert.equal(response.status, status);
    assert.deepEqual(await bodyOf(response), { error, error_description: text.replace('unreachable', 'not reachable') });
    assert.equal(harness.sent.imds.length, 1);
    await harness.proxy.close();
  });
}

test('answers 503, logs and reports when IMDS gives a token of another client id', async () => {
  const harness = await startProxyHarness();
  await harness.bind([row('a')]);
  harness.respond.imds = (url) => harness.tokenResponse(url, { client_id: 'another-client', access_token: 'SECRET' });
  const response = await harness.requestToken();
  assert.equal(response.status, 503);
  assert.doesNotMatch(await response.text(), /SECRET/);
  await harness.clock.advance(0);
  assert.match(harness.sent.broker.find(isReport)?.options.body ?? '', /wrong_client_id/);
  assert.ok(harness.lines.some((line) => line.includes('another-client')));
  await harness.proxy.close();
});

test('answers 400 ClientIDMismatch where only the author names the client id', async () => {
  const harness = await startProxyHarness();
  const { assignedAt: _, ...managed } = row('a');
  await harness.bind([managed]);
  harness.respond.imds = (url) => harness.tokenResponse(url, { client_id: 'another-client', access_token: 'SECRET' });
  const response = await harness.requestToken();
  assert.equal(response.status, 400);
  const message = await messageOf(response);
  assert.match(message, /^ClientIDMismatch: .* another-client where .* client-of-a: correct spec\.clientID/);
  assert.doesNotMatch(message, /SECRET/);
  await harness.proxy.close();
});

test('answers 400 for an identity without a resource id, without a call to IMDS', async () => {
  const harness = await startProxyHarness();
  await harness.bind([row('a', { resourceID: '' })]);
  const response = await harness.responseAfter(0, harness.requestToken());
  assert.equal(response?.status, 400);
  assert.match(await messageOf(response), /^Identity not found: AzureIdentity team\/a has no resourceID$/);
  assert.equal(harness.sent.imds.length, 0);
  await harness.proxy.close();
});

test('logs once that an NMI of the node answers in place of IMDS', async () => {
  const harness = await startProxyHarness();
  await harness.bind([row('a')]);
  harness.respond.imds = () =>
    new Response('no AzureAssignedIdentity found for pod', { status: 404, headers: { 'content-type': 'text/plain' } });
  for (const resource of ['r1', 'r2'])
    assert.equal((await harness.responseAfter(46_000, harness.requestToken(`resource=${resource}`)))?.status, 503);
  assert.equal(harness.lines.filter((line) => line.startsWith('error') && line.includes('NMI')).length, 1);
  await harness.proxy.close();
});

const principal = row('app', { type: 1, clientID: 'app-client', resourceID: '', tenantID: 'tenant' });
const isTokenRequest = ({ url }: { url: URL }) => url.pathname === '/v1/token';

test('fetches the token of a service principal from the broker', async () => {
  const harness = await startProxyHarness();
  await harness.bind([principal]);
  harness.respond.token = (url) =>
    harness.tokenResponse(url, { access_token: 'minted', client_id: undefined, expires_on: undefined, expires_in: 3599 });
  const body = await bodyOf(await harness.requestToken('resource=https%3A%2F%2Fx&client_id=APP-client'));
  assert.deepEqual([body.access_token, body.expires_in, body.client_id], ['minted', '3599', 'APP-client']);
  const request = harness.sent.broker.find(isTokenRequest);
  assert.deepEqual(JSON.parse(request?.options.body ?? ''), { identity: 'team/app', resource: 'https://x' });
  assert.equal(harness.sent.imds.length, 0);
  await harness.proxy.close();
});

const federated = row('a', { source: 'broker' });

test('fetches the token of a federated identity from the broker, by every selector', async () => {
  const harness = await startProxyHarness();
  await harness.bind([federated]);
  harness.respond.token = (url) => harness.tokenResponse(url, { access_token: 'minted', client_id: 'client-of-a' });
  const { clientID, objectID = '', resourceID } = federated;
  for (const [name, value] of Object.entries({ client_id: clientID, object_id: objectID, msi_res_id: resourceID })) {
    const body = await bodyOf(await harness.requestToken(`resource=r&${name}=${encodeURIComponent(value)}`));
    assert.deepEqual([body.access_token, body.client_id, body[name]], ['minted', 'client-of-a', value]);
  }
  assert.equal(harness.sent.broker.filter(isTokenRequest).length, 1);
  assert.equal(harness.sent.imds.length, 0);
  await harness.proxy.close();
});

test('passes capabilities and bypass_cache on to the broker, the latter once in 30 s', async () => {
  const harness = await startProxyHarness();
  await harness.bind([federated]);
  harness.respond.token = (url) => harness.tokenResponse(url, { client_id: 'client-of-a' });
  for (let count = 0; count < 3; count += 1) await harness.requestToken('resource=r&xms_cc=cp1&bypass_cache=true');
  const bodies = harness.sent.broker.filter(isTokenRequest).map(({ options }) => JSON.parse(options.body ?? ''));
  assert.deepEqual(bodies, [{ identity: 'team/a', resource: 'r', capabilities: 'cp1', refresh: true }]);
  await harness.proxy.close();
});

for (const [from, to] of [
  ['imds', 'broker'],
  ['broker', 'imds'],
] as const) {
  test(`keeps tokens and running fetches when an identity moves from ${from} to ${to}`, async () => {
    const harness = await startProxyHarness();
    harness.respond.token = (url) => harness.tokenResponse(url, { access_token: 'of-broker', client_id: 'client-of-a' });
    harness.respond.imds = (url) => harness.tokenResponse(url, { access_token: 'of-imds' });
    await harness.bind([row('a', { source: from })]);
    await harness.requestToken('resource=cached');
    const held = Promise.withResolvers<void>();
    const answer = harness.respond[from === 'imds' ? 'imds' : 'token'];
    harness.respond[from === 'imds' ? 'imds' : 'token'] = async (url, options) => {
      await held.promise;
      return answer(url, options);
    };
    const running = harness.requestToken('resource=running');
    await harness.clock.advance(0);
    await harness.bind([row('a', { source: to })]);
    held.resolve();
    const tokenOf = async (response: Promise<Response>) => (await bodyOf(await response)).access_token;
    assert.equal(await tokenOf(running), `of-${from}`);
    assert.equal(await tokenOf(harness.requestToken('resource=cached')), `of-${from}`);
    assert.equal(await tokenOf(harness.requestToken('resource=new')), `of-${to}`);
    await harness.proxy.close();
  });
}

test('takes an application that trusts the broker, of type 3', async () => {
  const harness = await startProxyHarness();
  await harness.bind([row('app', { type: 3, clientID: 'app-client', resourceID: '', tenantID: 'tenant' })]);
  harness.respond.token = (url) => harness.tokenResponse(url, { access_token: 'minted', client_id: 'app-client' });
  assert.equal((await bodyOf(await harness.requestToken())).access_token, 'minted');
  await harness.proxy.close();
});

test('answers with a list of tokens for a service principal with auxiliary tenants', async () => {
  const harness = await startProxyHarness();
  await harness.bind([{ ...principal, auxiliaryTenantIDs: ['other'] }]);
  const minted = (access_token: string, expires_in: string) => ({
    access_token,
    expires_in,
    client_id: 'app-client',
    token_type: 'Bearer',
  });
  harness.respond.token = () => json([minted('own', '3600'), minted('other', '7200')]);
  const list = async () => {
    const body: unknown = JSON.parse(await (await harness.requestToken()).text());
    assert.ok(Array.isArray(body));
    return body.map(({ access_token, expires_in, resource }) => [access_token, expires_in, resource]);
  };
  assert.deepEqual(await list(), [
    ['own', '3600', 'r'],
    ['other', '7200', 'r'],
  ]);
  await harness.clock.advance(600_000);
  assert.deepEqual(await list(), [
    ['own', '3000', 'r'],
    ['other', '6600', 'r'],
  ]);
  assert.equal(harness.sent.broker.filter(isTokenRequest).length, 1);
  harness.respond.token = () => json([minted('own', '3600'), {}]);
  const half = await harness.responseAfter(46_000, harness.requestToken('resource=half'));
  assert.equal(half?.status, 503, 'a list with an invalid token');
  await harness.proxy.close();
});

test('answers 400 for an error of Entra, 503 for every other error of the broker', async () => {
  const harness = await startProxyHarness();
  await harness.bind([principal]);
  harness.respond.token = () => json({ error: { code: 'token_failed', message: 'AADSTS7000215: Invalid client secret' } }, 400);
  const refused = await harness.requestToken();
  assert.equal(refused.status, 400);
  assert.match(await messageOf(refused), /^AADSTS7000215/);
  assert.equal((await bodyOf(await harness.requestToken())).error, 'invalid_request');
  harness.respond.token = () => json({ error: { code: 'token_failed', message: 'no', entraError: 'invalid_resource' } }, 400);
  assert.equal((await bodyOf(await harness.requestToken('resource=other'))).error, 'invalid_resource');
  for (const status of [429, 500, 503, 403, 404]) {
    harness.respond.token = () => json({ error: { code: 'throttled', message: 'later' } }, status);
    const response = await harness.responseAfter(46_000, harness.requestToken(`resource=r${status}`));
    assert.equal(response?.status, 503, String(status));
  }
  await harness.proxy.close();
});

test('says that a resource is no scope when IMDS does not know it', async () => {
  const harness = await startProxyHarness();
  await harness.bind([row('a')]);
  harness.respond.imds = () => json({ error: 'invalid_resource', error_description: 'AADSTS500011: not found.' }, 400);
  assert.equal(
    await messageOf(await harness.requestToken('resource=https://storage.azure.com/.default')),
    'AADSTS500011: not found. (resource is an audience: leave out "/.default" of https://storage.azure.com/.default)',
  );
  assert.equal(await messageOf(await harness.requestToken('resource=https://storage.azure.com/')), 'AADSTS500011: not found.');
  await harness.proxy.close();
});

test('blames nobody on the node for an answer of the web server before IMDS', async () => {
  const harness = await startProxyHarness();
  await harness.bind([row('a')]);
  const answer = async (server: string, resource: string) => {
    harness.respond.imds = () => new Response('<h2>Bad Request - Request Too Long</h2>', { status: 400, headers: { server } });
    const response = await harness.responseAfter(46_000, harness.requestToken(`resource=${resource}`));
    return [response?.status, await messageOf(response)];
  };
  const [status, message] = await answer('Microsoft-HTTPAPI/2.0', 'r');
  assert.equal(status, 503);
  assert.match(String(message), /HTTP 400 from the web server before IMDS \(Microsoft-HTTPAPI\/2\.0\)$/);
  assert.ok(!harness.lines.some((line) => line.includes('do not come from IMDS')));
  assert.match(String((await answer('nginx', 's'))[1]), /is not IMDS, which calls itself nginx \(an NMI/);
  await harness.proxy.close();
});
