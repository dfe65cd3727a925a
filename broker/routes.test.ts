import assert from 'node:assert/strict';
import { afterEach, before, beforeEach, describe, it } from 'node:test';
import { BrokerError } from './error.ts';
import { boundTo, pod, signToken } from './testing/fake-api-server.ts';
import type { Fixture, Harness } from './testing/harness.ts';
import { assertRefused, createFixture, row, startHarness, token } from './testing/harness.ts';

describe('broker', () => {
  let fixture: Fixture;
  let harness: Harness;
  const restart = async (...more: Parameters<typeof startHarness> extends [Fixture, ...infer Rest] ? Rest : never) => {
    await harness.stop();
    harness = await startHarness(fixture, ...more);
  };
  before(async () => {
    fixture = await createFixture();
  });
  beforeEach(async () => {
    harness = await startHarness(fixture);
  });
  afterEach(() => harness.stop());

  it('accepts a report once in 5 minutes for an identity of the calling pod', async () => {
    const body = { identity: 'team/id', reason: 'identity_not_found', requestId: 'abc' };
    assert.equal((await harness.ask('/v1/report', { body })).status, 202);
    assert.deepEqual(harness.reports, [{ podKey: 'team/app-0', ...body }]);
    const again = await harness.ask('/v1/report', { body });
    assertRefused(again, 429, 'throttled');
    assert.equal(again.headers['retry-after'], '300');
    harness.time.ahead += 300_001;
    assert.equal((await harness.ask('/v1/report', { body })).status, 202);
    assertRefused(await harness.ask('/v1/report', { body: { ...body, identity: 'team/foreign' } }), 404, 'not_found');
    assert.equal(harness.reports.length, 2);
  });

  it('limits the reports of one namespace, and not those of another', async () => {
    const report = async (namespace: string, name: string) => {
      const bound = { namespace, name, uid: `${namespace}-${name}` };
      harness.informers.set(`${namespace}/${name}`, { uid: bound.uid, excepted: false, identities: [row] });
      harness.caller.token = await signToken(fixture.tokens, harness.clock.wall(), { kubernetes: boundTo(bound) });
      return harness.ask('/v1/report', { body: { identity: 'team/id', reason: 'identity_not_found', requestId: 'abc' } });
    };
    const statuses: number[] = [];
    // More than the burst and what a slow machine refills meanwhile.
    while (statuses.at(-1) !== 429 && statuses.length < 500) statuses.push((await report('hostile', `app-${statuses.length}`)).status);
    assert.ok(statuses.length > 30 && statuses.length < 500);
    assert.equal((await report('honest', 'app')).status, 202);
  });

  it('refuses a malformed report', async () => {
    const body = { identity: 'team/id', reason: 'identity_not_found', requestId: 'abc' };
    for (const bad of [{ ...body, reason: 'boredom' }, { ...body, requestId: 'a\nb' }, { ...body, identity: 7 }, [], 'null', '{'])
      assertRefused(await harness.ask('/v1/report', { body: bad }), 400, 'bad_request');
    assertRefused(await harness.ask('/v1/report', { body: { ...body, filler: 'x'.repeat(5000) } }), 413, 'bad_request');
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    assertRefused(await harness.ask('/v1/report', { body: 'x=1', headers }), 415, 'bad_request');
    assert.deepEqual(harness.reports, []);
  });

  it('mints tokens for identities of the calling pod only', async () => {
    await restart({
      mintToken: async ({ row: { namespace, name }, resource }) => {
        const identity = `${namespace}/${name}`;
        if (resource === 'bad') throw new BrokerError('token_failed', 'AADSTS500011: no such resource');
        return { ...token, client_id: identity, resource };
      },
    });
    const good = await harness.ask('/v1/token', { body: { identity: 'team/id', resource: 'https://vault/' } });
    assert.deepEqual(good.body, { ...token, client_id: 'team/id', resource: 'https://vault/' });
    assert.equal(good.headers['cache-control'], 'no-store');
    const bad = await harness.ask('/v1/token', { body: { identity: 'team/id', resource: 'bad' } });
    assertRefused(bad, 400, 'token_failed');
    assert.match(bad.body.error.message, /AADSTS500011/);
    assertRefused(await harness.ask('/v1/token', { body: { identity: 'other/id', resource: 'r' } }), 404, 'not_found');
    assertRefused(await harness.ask('/v1/token', { body: { identity: 'team/id', resource: '' } }), 400, 'bad_request');
    harness.caller.token = await signToken(fixture.tokens, harness.clock.wall(), { kubernetes: boundTo({ ...pod, uid: 'uid-0' }) });
    assertRefused(await harness.ask('/v1/token', { body: { identity: 'team/id', resource: 'r' } }), 404, 'pod_gone');
  });

  it('refuses what is no resource, and passes scope, capabilities and refresh on', async () => {
    const calls: unknown[] = [];
    await restart({
      mintToken: async ({ caller, row, resource, scope, capabilities, refresh }) => {
        calls.push({ serviceAccount: caller.serviceAccount, identity: row.name, resource, scope, capabilities, refresh });
        throw new BrokerError('token_failed', 'no', { entraError: 'invalid_resource' });
      },
    });
    const ask = (more: object) => harness.ask('/v1/token', { body: { identity: 'team/id', resource: 'https://vault/', ...more } });
    const answer = await ask({ capabilities: 'llt, CP1', refresh: true });
    assertRefused(answer, 400, 'token_failed');
    assert.deepEqual(answer.body.error, { code: 'token_failed', message: 'no', entraError: 'invalid_resource' });
    await ask({ capabilities: 7, refresh: 'true' });
    const common = { serviceAccount: 'default', identity: 'id', resource: 'https://vault/', scope: 'https://vault//.default' };
    assert.deepEqual(calls, [
      { ...common, capabilities: ['cp1'], refresh: true },
      { ...common, capabilities: [], refresh: false },
    ]);
    for (const resource of ['https://a https://b', 'https://a\n', '\u212a', '/.default', 'x'.repeat(2049), 7])
      assertRefused(await ask({ resource }), 400, 'bad_request');
    assert.equal(calls.length, 2);
  });

  it('limits the token requests of one pod, and not those of another', async () => {
    let minted = 0;
    await restart({
      mintToken: async () => {
        minted += 1;
        throw new BrokerError('token_failed', 'AADSTS500011');
      },
    });
    const ask = () => harness.ask('/v1/token', { body: { identity: 'team/id', resource: 'r' } });
    // The time of a slow run allows some more.
    let answer = await ask();
    for (; answer.status === 400; answer = await ask()) assert.ok(minted < 200, 'is limited');
    assertRefused(answer, 429, 'throttled');
    assert.ok(minted >= 30);
    harness.informers.set('team/app-0', { uid: 'uid-2', excepted: false, identities: [row] });
    harness.caller.token = await signToken(fixture.tokens, harness.clock.wall(), { kubernetes: boundTo({ ...pod, uid: 'uid-2' }) });
    assertRefused(await ask(), 400, 'token_failed');
  });

  it('shows nothing of an unexpected error', async () => {
    await restart({
      mintToken: async () => {
        throw new Error('password is hunter2');
      },
    });
    const answer = await harness.ask('/v1/token', { body: { identity: 'team/id', resource: 'r' } });
    assertRefused(answer, 500, 'internal');
    assert.equal(answer.body.error.message, 'internal error');
  });

  it('asks a sidecar to reconnect after 24 to 36 minutes', async () => {
    for (const [random, minutes] of [
      [0, 24],
      [1, 36],
    ] as const) {
      await restart({ random: () => random });
      const connectionAt = async (ahead: number) => {
        harness.time.ahead = ahead;
        harness.caller.token = await signToken(fixture.tokens, harness.clock.wall());
        return (await harness.ask('/v1/identities')).headers.connection;
      };
      assert.equal(await connectionAt(0), 'keep-alive');
      assert.equal(await connectionAt(minutes * 60_000 - 10_000), 'keep-alive');
      assert.equal(await connectionAt(minutes * 60_000 + 10_000), 'close');
    }
  });

  it('holds polls while it drains, and answers them when it stops', async () => {
    const { headers } = await harness.ask('/v1/identities');
    const poll = harness.ask('/v1/identities?wait=300', { headers: { 'if-none-match': String(headers.etag) } });
    await harness.untilHeld(1);
    harness.broker.drain();
    assert.equal((await harness.ask('/v1/identities')).headers.connection, 'close');
    assert.deepEqual([harness.broker.heldPolls, harness.broker.connectedSidecars], [1, 1]);
    const stopped = harness.broker.stop();
    const answer = await poll;
    assert.deepEqual([answer.status, answer.headers.connection], [304, 'close']);
    await stopped;
  });
});
