// Rows of design 5's error table for what IMDS and the broker's minting answer, on a fake clock.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { row } from '../testing.ts';
import { bodyOf, hang, json, startWorld } from './world.testing.ts';

const minute = 60_000;

describe('the error table: what IMDS says', () => {
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

  it('IMDS throttles while a token is valid: no application hears of it', async () => {
    const world = await startWorld();
    await world.bind([row('a')]);
    const first = await bodyOf(await world.token());
    world.answers.imds = () => json({ error: 'invalid_request', error_description: 'Temporarily throttled' }, 429);
    await world.clock.advance(14 * 60 * minute);
    for (const query of ['resource=r', 'resource=r&bypass_cache=true']) {
      const answer = await world.after(46_000, world.token(query));
      assert.equal(answer?.status, 200, query);
      assert.equal((await bodyOf(answer)).access_token, first.access_token);
    }
    assert.ok(world.asked.imds.length > 3);
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

  it('an identity without a resource id: 400, and IMDS is never asked without a selector', async () => {
    const world = await startWorld();
    await world.bind([row('a', { resourceID: '' })]);
    const answer = await world.after(0, world.token());
    assert.equal(answer?.status, 400);
    assert.match((await bodyOf(answer)).error_description ?? '', /^Identity not found: AzureIdentity team\/a has no resourceID$/);
    assert.equal(world.asked.imds.length, 0);
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

  it('with auxiliary tenants give a list, the own tenant first, each with the life that is left of it', async () => {
    const world = await startWorld();
    await world.bind([{ ...app, auxiliaryTenantIDs: ['other'] }]);
    const minted = (access_token: string, expires_in: string) => ({
      access_token,
      expires_in,
      client_id: 'app-client',
      token_type: 'Bearer',
    });
    world.answers.token = () => json([minted('own', '3600'), minted('other', '7200')]);
    const list = async () => {
      const answer: unknown = JSON.parse(await (await world.token()).text());
      assert.ok(Array.isArray(answer));
      return answer.map(({ access_token, expires_in, resource }) => [access_token, expires_in, resource]);
    };
    assert.deepEqual(await list(), [
      ['own', '3600', 'r'],
      ['other', '7200', 'r'],
    ]);
    await world.clock.advance(600_000);
    assert.deepEqual(await list(), [
      ['own', '3000', 'r'],
      ['other', '6600', 'r'],
    ]);
    assert.equal(world.asked.broker.filter(({ url }) => url.pathname === '/v1/token').length, 1);
    world.answers.token = () => json([minted('own', '3600'), {}]);
    assert.equal((await world.after(46_000, world.token('resource=half')))?.status, 503, 'half of an answer is none');
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
