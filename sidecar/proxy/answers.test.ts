// What an application gets when all is well, in both protocols, on a fake clock.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { row } from '../testing.ts';
import { bodyOf, hang, startWorld } from './world.testing.ts';

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

  it('are of the identity as it is now when it was changed in place while its token was fetched', async () => {
    const world = await startWorld();
    await world.bind([row('a')]);
    world.answers.imds = (_url, options) => hang(options);
    const held = world.token('resource=r&msi_res_id='.concat(encodeURIComponent(row('a').resourceID)));
    await world.clock.advance(100);
    assert.equal(world.asked.imds.length, 1);
    world.answers.imds = (url) => world.goodToken(url, { client_id: 'made-anew' });
    await world.bind([row('a', { clientID: 'made-anew' })]);
    const body = await bodyOf(await world.after(1000, held));
    assert.deepEqual([body.access_token, body.client_id], ['token-of-a-2', 'made-anew']);
    assert.equal(world.asked.imds[0]?.options.signal.aborted, true);
    await world.proxy.close();
  });

  it('bypass the cache at most once in 30 s for a token', async () => {
    const world = await startWorld();
    await world.bind([row('a')]);
    await world.token();
    for (let i = 0; i < 5; i += 1) await world.token('resource=r&bypass_cache=true');
    assert.deepEqual(
      world.asked.imds.map(({ url }) => url.searchParams.get('bypass_cache')),
      [null, 'true'],
    );
    await world.clock.advance(30_000);
    await world.token('resource=r&bypass_cache=true');
    assert.equal(world.asked.imds.length, 3);
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
