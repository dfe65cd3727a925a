// The proxy as a whole on a fake clock: answers, waits and each row of the error table of design 5.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { row } from '../testing.ts';
import { bodyOf, hang, json, startWorld } from './world.testing.ts';

const minute = 60_000;

describe('token answers', () => {
  it('are IMDS-shaped: strings, both expiry fields, resource and selector as they were sent', async () => {
    const world = await startWorld();
    await world.bind([row('a')]);
    const answer = await world.token('resource=https%3A%2F%2FVault.azure.net%2F&client_id=CLIENT-of-a');
    assert.equal(answer.headers.get('content-type'), 'application/json; charset=utf-8');
    assert.match(answer.headers.get('server') ?? '', /IMDS/);
    const expiresOn = String(Math.floor(world.clock.wall() / 1000) + 86_400);
    const { access_token, not_before, ...rest } = await bodyOf(answer);
    assert.equal(access_token, 'token-of-a-1');
    assert.match(not_before ?? '', /^\d+$/);
    assert.deepEqual(rest, {
      client_id: 'CLIENT-of-a',
      expires_in: '86400',
      expires_on: expiresOn,
      ext_expires_in: '86400',
      resource: 'https://Vault.azure.net/',
      token_type: 'Bearer',
    });
    await world.clock.advance(10 * 60 * minute);
    assert.equal((await bodyOf(await world.token('resource=https%3A%2F%2FVault.azure.net%2F'))).expires_in, String(14 * 3600));
    assert.equal(world.asked.imds.length, 1);
    await world.proxy.close();
  });

  it('come from an IMDS request of our own making: one selector, our headers, no header of the caller', async () => {
    const world = await startWorld();
    await world.bind([row('a'), row('b')]);
    await world.token('resource=r%26msi_res_id%3Devil&object_id=object-of-b&authority=evil&x=y&xms_cc=cp1&api-version=2025-04-07', {
      headers: { metadata: 'true', authorization: 'x', cookie: 'y', 'x-client-sku': 'z', via: 'w' },
    });
    const [{ url, options } = assert.fail('nothing was asked')] = world.asked.imds;
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
    await world.proxy.close();
  });

  it('reach a hundred callers with one request, and a caller who left costs nothing', async () => {
    const world = await startWorld();
    await world.bind([row('a')]);
    world.answers.imds = (_url, options) => hang(options);
    const leaving = new AbortController();
    const left = world.token('resource=r', { signal: leaving.signal });
    const waiting = Array.from({ length: 100 }, () => world.token());
    await world.clock.advance(1000);
    leaving.abort();
    await left;
    world.answers.imds = (url) => world.goodToken(url);
    await world.clock.advance(20_000);
    for (const answer of waiting) assert.equal((await answer).status, 200);
    assert.equal(world.asked.imds.length, 2, 'the one that hung and its retry');
    await world.proxy.close();
  });

  it('hold a request until its identity is assigned, however that is told', async () => {
    const world = await startWorld();
    const early = world.token();
    assert.equal(await world.after(1000, early), undefined, 'no identity yet');
    await world.bind([row('a', { state: 'Created', reason: 'PATCH under way' })]);
    assert.equal(await world.after(1000, early), undefined, 'pending');
    assert.equal(world.asked.imds.length, 0);
    await world.bind([row('a')]);
    assert.equal((await early).status, 200);
    assert.ok(world.holds > 0);
    await world.proxy.close();
  });

  it('come from the cache while an assigned identity is being attached again', async () => {
    const world = await startWorld();
    await world.bind([row('a')]);
    await world.token();
    await world.bind([row('a', { state: 'Created' })]);
    assert.equal((await world.token()).status, 200);
    const other = await world.after(46_000, world.token('resource=other'));
    assert.equal(other?.status, 503, 'but nothing new is fetched');
    await world.proxy.close();
  });
});

describe('the error table', () => {
  it('pending at the deadline: 503 with what it waits for', async () => {
    const world = await startWorld();
    await world.bind([row('a', { state: 'Created', reason: 'the scale set is throttled until 12:00' })]);
    const asked = world.token();
    assert.equal(await world.after(44_900, asked), undefined);
    const answer = await world.after(200, asked);
    assert.equal(answer?.status, 503);
    const wait = Number(answer?.headers.get('retry-after'));
    assert.ok(wait >= 5 && wait <= 20);
    assert.match((await bodyOf(answer)).error_description ?? '', /team\/a \(binding team\/a-binding\).*throttled until 12:00/);
    await world.proxy.close();
  });

  it('broker never reached: 503 that says so, without the word that ends credential chains', async () => {
    const world = await startWorld([], () => Promise.reject(new Error('network is unreachable')));
    const answer = await world.after(46_000, world.token());
    assert.equal(answer?.status, 503);
    const text = (await bodyOf(answer)).error_description ?? '';
    assert.match(text, /broker has not answered yet: .*9443: network is not reachable/);
    await world.proxy.close();
  });

  it('not bound: 400 that starts with IMDS words and names what is bound', async () => {
    const world = await startWorld();
    await world.bind([row('a')]);
    const asked = world.token('resource=r&client_id=other');
    assert.equal(await world.after(4900, asked), undefined, 'the binding may be on its way');
    const answer = await world.after(200, asked);
    assert.equal(answer?.status, 400);
    const body = await bodyOf(answer);
    assert.equal(body.error, 'invalid_request');
    assert.match(body.error_description ?? '', /^Identity not found: client_id other .*team\/a/);
    assert.equal(world.asked.imds.length, 0);
    await world.proxy.close();
  });

  it('bound while it was waited for: 200', async () => {
    const world = await startWorld();
    await world.bind([row('a')]);
    const asked = world.token('resource=r&client_id=client-of-b');
    await world.clock.advance(2000);
    await world.bind([row('a'), row('b')]);
    assert.equal((await asked).status, 200);
    await world.proxy.close();
  });

  it('failed for good: 400 with the reason, at once', async () => {
    const world = await startWorld();
    await world.bind([row('a', { state: 'Failed', reason: 'quarantined: Azure does not know it' })]);
    const answer = await world.token();
    assert.equal(answer.status, 400);
    assert.match((await bodyOf(answer)).error_description ?? '', /^Identity not found: .*quarantined/);
    await world.proxy.close();
  });

  const notFound = { error: 'invalid_request', error_description: 'Identity not found' };
  it('IMDS does not know a fresh assignment: 503 after 1, 2, 4, 8 s, and a report', async () => {
    const world = await startWorld();
    await world.bind([row('a', { assignedAt: new Date(world.clock.wall() - 60_000).toISOString() })]);
    world.answers.imds = () => json(notFound, 400, { 'x-ms-request-id': 'req-1' });
    const answer = await world.after(16_000, world.token());
    assert.equal(answer?.status, 503);
    assert.equal(answer?.headers.get('retry-after'), '10');
    assert.equal(world.asked.imds.length, 5);
    const report = world.asked.broker.find(({ url }) => url.pathname === '/v1/report');
    assert.deepEqual(JSON.parse(report?.options.body ?? ''), { identity: 'team/a', reason: 'identity_not_found', requestId: 'req-1' });
    await world.after(20_000, world.token());
    assert.equal(world.asked.broker.filter(({ url }) => url.pathname === '/v1/report').length, 1, 'at most one in 5 min');
    await world.proxy.close();
  });

  it('IMDS does not know an old assignment: 400', async () => {
    const world = await startWorld();
    await world.bind([row('a', { assignedAt: new Date(world.clock.wall() - 11 * minute).toISOString() })]);
    world.answers.imds = () => json(notFound, 400);
    const answer = await world.after(16_000, world.token());
    assert.equal(answer?.status, 400);
    assert.match((await bodyOf(answer)).error_description ?? '', /^Identity not found: IMDS does not know/);
    await world.proxy.close();
  });

  for (const [name, upstream, status, retryAfter] of [
    ['404', () => json({ error: 'not_found' }, 404), 503, '5'],
    ['410', () => json({}, 410), 410, null],
    ['429', () => json({ error: 'invalid_request', error_description: 'Temporarily throttled, too many requests' }, 429), 429, '5'],
    ['500', () => json({ error: 'server_error' }, 500), 503, '5'],
    ['500 of the WireServer, as text', () => new Response('oops', { status: 500, headers: { 'content-type': 'text/plain' } }), 503, '5'],
    ['a redirect', () => new Response(null, { status: 302, headers: { location: 'http://evil.example/', server: 'IMDS/1' } }), 503, '5'],
    ['200 without a token', () => json({ hello: 1 }), 503, '5'],
    ['no connection', () => Promise.reject(new Error('ECONNREFUSED')), 503, '5'],
  ] as const) {
    it(`IMDS answers ${name} up to the deadline: ${status}`, async () => {
      const world = await startWorld();
      await world.bind([row('a')]);
      world.answers.imds = upstream;
      const answer = await world.after(46_000, world.token());
      assert.equal(answer?.status, status);
      assert.equal(answer?.headers.get('retry-after'), retryAfter);
      assert.match(answer?.headers.get('content-type') ?? '', /json/);
      assert.equal(typeof (await bodyOf(answer)).error_description, 'string');
      assert.ok(world.asked.imds.length > 3);
      await world.proxy.close();
    });

    it(`IMDS answers ${name} and then a token: 200`, async () => {
      const world = await startWorld();
      await world.bind([row('a')]);
      world.answers.imds = (url) => (world.asked.imds.length < 3 ? upstream() : world.goodToken(url));
      assert.equal((await world.after(25_000, world.token()))?.status, 200);
      await world.proxy.close();
    });
  }

  it('IMDS hangs: each try is given up, the request ends at its deadline', async () => {
    const world = await startWorld();
    await world.bind([row('a')]);
    world.answers.imds = (_url, options) => hang(options);
    const answer = await world.after(45_100, world.token());
    assert.equal(answer?.status, 503);
    assert.ok(world.asked.imds.length >= 3);
    await world.proxy.close();
  });

  it('IMDS hangs while a valid token is bypassed: the valid one at the deadline', async () => {
    const world = await startWorld(['--request-deadline=5']);
    await world.bind([row('a')]);
    const first = await bodyOf(await world.token());
    world.answers.imds = (_url, options) => hang(options);
    const answer = await world.after(5100, world.token('resource=r&bypass_cache=true'));
    assert.equal((await bodyOf(answer)).access_token, first.access_token);
    await world.proxy.close();
  });

  it('any other 400, 401, 403 of IMDS: passed on as JSON, no retry', async () => {
    const world = await startWorld();
    await world.bind([row('a')]);
    for (const [status, error, text] of [
      [400, 'invalid_resource', 'AADSTS500011: no such resource'],
      [401, 'unauthorized_client', 'no'],
      [403, 'access_denied', 'network unreachable'],
    ] as const) {
      world.asked.imds.length = 0;
      world.answers.imds = () => json({ error, error_description: text }, status);
      const answer = await world.token(`resource=r${status}`);
      assert.equal(answer.status, status);
      assert.deepEqual(await bodyOf(answer), { error, error_description: text.replace('unreachable', 'not reachable') });
      assert.equal(world.asked.imds.length, 1);
    }
    await world.proxy.close();
  });

  it('a token of another client id: discarded, logged, reported, 503', async () => {
    const world = await startWorld();
    await world.bind([row('a')]);
    world.answers.imds = (url) => world.goodToken(url, { client_id: 'somebody-else', access_token: 'SECRET' });
    const answer = await world.token();
    assert.equal(answer.status, 503);
    assert.doesNotMatch(await answer.text(), /SECRET/);
    await world.clock.advance(0);
    const report = world.asked.broker.find(({ url }) => url.pathname === '/v1/report');
    assert.match(report?.options.body ?? '', /wrong_client_id/);
    assert.ok(world.lines.some((line) => line.includes('somebody-else')));
    await world.proxy.close();
  });

  it('says once that an NMI on the node answers', async () => {
    const world = await startWorld();
    await world.bind([row('a')]);
    world.answers.imds = () =>
      new Response('no AzureAssignedIdentity found for pod', { status: 404, headers: { 'content-type': 'text/plain' } });
    for (const resource of ['r1', 'r2']) assert.equal((await world.after(46_000, world.token(`resource=${resource}`)))?.status, 503);
    assert.equal(world.lines.filter((line) => line.startsWith('error') && line.includes('NMI')).length, 1);
    await world.proxy.close();
  });
});

describe('service principals', () => {
  const app = row('app', { type: 1, clientID: 'app-client', resourceID: '', tenantID: 'tenant' });
  it('get their tokens from the broker', async () => {
    const world = await startWorld();
    await world.bind([app]);
    world.answers.token = (url) =>
      world.goodToken(url, { access_token: 'minted', client_id: undefined, expires_on: undefined, expires_in: 3599 });
    const answer = await world.token('resource=https%3A%2F%2Fx&client_id=APP-client');
    const body = await bodyOf(answer);
    assert.deepEqual([body.access_token, body.expires_in, body.client_id], ['minted', '3599', 'APP-client']);
    const call = world.asked.broker.find(({ url }) => url.pathname === '/v1/token');
    assert.deepEqual(JSON.parse(call?.options.body ?? ''), { identity: 'team/app', resource: 'https://x' });
    assert.equal(world.asked.imds.length, 0);
    await world.proxy.close();
  });

  it("are told Entra's refusal as 400, everything else is 503", async () => {
    const world = await startWorld();
    await world.bind([app]);
    world.answers.token = () => json({ error: { code: 'token_failed', message: 'AADSTS7000215: Invalid client secret' } }, 400);
    const refused = await world.token();
    assert.equal(refused.status, 400);
    assert.match((await bodyOf(refused)).error_description ?? '', /^AADSTS7000215/);
    for (const status of [429, 500, 503, 403, 404]) {
      world.answers.token = () => json({ error: { code: 'throttled', message: 'later' } }, status);
      assert.equal((await world.after(46_000, world.token(`resource=r${status}`)))?.status, 503, String(status));
    }
    await world.proxy.close();
  });
});

describe('passing to IMDS', () => {
  it('rebuilds the token request of an excepted pod and keeps nothing', async () => {
    const world = await startWorld();
    await world.bind([row('a')], { excepted: true });
    world.answers.imds = () => json({ access_token: 'of-the-node' });
    for (let i = 0; i < 2; i += 1) {
      assert.equal((await bodyOf(await world.token('resource=r&mi_res_id=%2Fx&bypass_cache=true&evil=1'))).access_token, 'of-the-node');
    }
    assert.equal(world.asked.imds.length, 2);
    assert.equal(world.asked.imds[0]?.url.search, '?api-version=2018-02-01&resource=r&msi_res_id=%2Fx&bypass_cache=true');
    assert.equal((await world.token('resource=')).status, 400, 'the same validation');
    world.answers.imds = () => json({ error: 'invalid_request', error_description: 'Identity not found' }, 400);
    assert.equal((await world.token()).status, 400);
    assert.equal(world.asked.imds.length, 3);
    await world.proxy.close();
  });

  it('passes documents with their status and body, errors always as JSON', async () => {
    const world = await startWorld();
    world.answers.imds = () =>
      new Response('Standard_D2', { headers: { 'content-type': 'text/plain', 'x-evil': '1', connection: 'close' } });
    const leaf = await world.ask('/metadata/instance/compute/vmSize?api-version=2021-02-01&format=text');
    assert.equal(await leaf.text(), 'Standard_D2');
    assert.equal(leaf.headers.get('x-evil'), null);
    assert.equal(leaf.headers.get('content-type'), 'text/plain');
    world.answers.imds = () => json({ error: 'Bad request', 'newest-versions': ['1'] }, 400);
    assert.deepEqual(await bodyOf(await world.ask('/metadata/instance')), { error: 'Bad request', 'newest-versions': ['1'] });
    world.answers.imds = () => new Response('<html>', { status: 502, headers: { 'content-type': 'text/html' } });
    assert.equal((await world.ask('/metadata/versions')).status, 503);
    world.answers.imds = () => new Response(null, { status: 301, headers: { location: 'http://evil.example' } });
    const moved = await world.ask('/metadata/versions');
    assert.deepEqual([moved.status, moved.headers.get('location')], [503, null]);
    await world.proxy.close();
  });
});

describe('App Service protocol', () => {
  it('answers with both expiry fields and errors of its own shape', async () => {
    const world = await startWorld(['--identity-header=uid-1']);
    await world.bind([row('a')]);
    const headers = { 'x-identity-header': 'uid-1' };
    const good = await bodyOf(await world.ask('/msi/token?api-version=2019-08-01&resource=r', { headers }));
    assert.ok(good.expires_on !== undefined && good.expires_in !== undefined && good.token_type === 'Bearer');
    const bad = await world.after(5100, world.ask('/msi/token?resource=r&client_id=x', { headers }));
    assert.equal(bad?.status, 400);
    const body = await bodyOf(bad);
    assert.deepEqual(Object.keys(body), ['statusCode', 'message']);
    assert.equal((await world.ask('/msi/token?resource=r', { headers: {} })).status, 401);
    await world.proxy.close();
  });
});

describe('the end', () => {
  it('answers held requests at once and leaves no timer', async () => {
    const world = await startWorld();
    await world.bind([row('a', { state: 'Created' })]);
    const held = world.token();
    await world.clock.advance(1000);
    await world.proxy.close();
    assert.equal((await held).status, 503);
    assert.equal(world.clock.timers, 0);
  });
});
