import assert from 'node:assert/strict';
import { once } from 'node:events';
import { afterEach, before, beforeEach, describe, test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { connect } from 'node:tls';
import { Refusal } from './refusal.ts';
import { boundTo, mint, pod } from './testing/cluster-tokens.ts';
import type { Fixture, RunningBroker } from './testing/running-broker.ts';
import { makeFixture, name, refused, row, runBroker } from './testing/running-broker.ts';

describe('the broker over TLS', () => {
  let fixture: Fixture;
  let run: RunningBroker;
  const restart = async (...options: Parameters<typeof runBroker> extends [Fixture, ...infer Rest] ? Rest : never) => {
    await run.stop();
    run = await runBroker(fixture, ...options);
  };
  before(async () => {
    fixture = await makeFixture();
  });
  beforeEach(async () => {
    run = await runBroker(fixture);
  });
  afterEach(() => run.stop());

  test('a report is passed on once in 5 minutes for an identity of this pod', async () => {
    const body = { identity: 'team/id', reason: 'identity_not_found', requestId: 'abc' };
    assert.equal((await run.ask('/v1/report', { body })).status, 202);
    assert.deepEqual(run.reports, [{ podKey: 'team/app-0', ...body }]);
    const again = await run.ask('/v1/report', { body });
    refused(again, 429, 'throttled');
    assert.equal(again.headers['retry-after'], '300');
    run.clock.ahead += 300_000;
    assert.equal((await run.ask('/v1/report', { body })).status, 202);
    refused(await run.ask('/v1/report', { body: { ...body, identity: 'team/foreign' } }), 404, 'not_found');
    for (const bad of [{ ...body, reason: 'boredom' }, { ...body, requestId: 'a\nb' }, { ...body, identity: 7 }, [], 'null'])
      refused(await run.ask('/v1/report', { body: bad }), 400, 'bad_request');
    refused(await run.ask('/v1/report', { body: '{' }), 400, 'bad_request');
    refused(await run.ask('/v1/report', { body: { ...body, filler: 'x'.repeat(5000) } }), 413, 'bad_request');
    refused(
      await run.ask('/v1/report', { body: 'x=1', headers: { 'content-type': 'application/x-www-form-urlencoded' } }),
      415,
      'bad_request',
    );
    assert.equal(run.reports.length, 2);
  });

  test('mints only for identities of the pod, and passes a refusal on', async () => {
    const minted = {
      access_token: 'a',
      client_id: 'c',
      expires_in: '1',
      expires_on: '2',
      ext_expires_in: '1',
      not_before: '1',
      resource: 'r',
      token_type: 'Bearer',
    } as const;
    await restart({
      mintToken: async (identity, resource) => {
        if (resource === 'bad') throw new Refusal('token_failed', 'AADSTS500011: no such resource');
        return { ...minted, client_id: identity, resource };
      },
    });
    const good = await run.ask('/v1/token', { body: { identity: 'team/id', resource: 'https://vault/' } });
    assert.deepEqual(good.body, { ...minted, client_id: 'team/id', resource: 'https://vault/' });
    assert.equal(good.headers['cache-control'], 'no-store');
    const bad = await run.ask('/v1/token', { body: { identity: 'team/id', resource: 'bad' } });
    refused(bad, 400, 'token_failed');
    assert.match(bad.body.error.message, /AADSTS500011/);
    refused(await run.ask('/v1/token', { body: { identity: 'other/id', resource: 'r' } }), 404, 'not_found');
    refused(await run.ask('/v1/token', { body: { identity: 'team/id', resource: '' } }), 400, 'bad_request');
    run.caller.token = await mint(fixture.tokens, run.now(), { kubernetes: boundTo({ ...pod, uid: 'uid-0' }) });
    refused(await run.ask('/v1/token', { body: { identity: 'team/id', resource: 'r' } }), 404, 'pod_gone');
  });

  test('a pod that asks for ever new tokens is slowed down, the others are not', async () => {
    let minted = 0;
    await restart({
      mintToken: async () => {
        minted += 1;
        throw new Refusal('token_failed', 'AADSTS500011');
      },
    });
    const ask = () => run.ask('/v1/token', { body: { identity: 'team/id', resource: 'r' } });
    for (let n = 0; n < 30; n += 1) refused(await ask(), 400, 'token_failed');
    refused(await ask(), 429, 'throttled');
    assert.equal(minted, 30);
    run.informers.set('team/app-0', { uid: 'uid-2', excepted: false, identities: [row] });
    run.caller.token = await mint(fixture.tokens, run.now(), { kubernetes: boundTo({ ...pod, uid: 'uid-2' }) });
    refused(await ask(), 400, 'token_failed');
  });

  test('a failure inside shows nothing of itself', async () => {
    await restart({
      mintToken: async () => {
        throw new Error('password is hunter2');
      },
    });
    const answer = await run.ask('/v1/token', { body: { identity: 'team/id', resource: 'r' } });
    refused(answer, 500, 'internal');
    assert.equal(answer.body.error.message, 'internal error');
  });

  test('serves a renewed certificate on new connections, TLS 1.3 only; an unusable one changes nothing', async () => {
    const peer = async () => {
      const socket = connect({ port: run.broker.port, host: '127.0.0.1', servername: name, ca: fixture.ca.certificate });
      await once(socket, 'secureConnect');
      const { fingerprint256 } = socket.getPeerCertificate();
      socket.destroy();
      return fingerprint256;
    };
    const first = await peer();
    run.published.leaf = fixture.secondLeaf;
    run.published.tell();
    const second = await peer();
    assert.notEqual(second, first);
    run.published.leaf = { certificate: 'garbage', key: 'garbage' };
    run.published.tell();
    assert.equal(await peer(), second);
    const old = connect({ port: run.broker.port, host: '127.0.0.1', servername: name, ca: fixture.ca.certificate, maxVersion: 'TLSv1.2' });
    await assert.rejects(once(old, 'secureConnect'));
  });

  test('without a certificate it listens, fails handshakes and is not ready; with the first one it serves', async () => {
    await restart({}, 'bare');
    const failing = connect({ port: run.broker.port, host: '127.0.0.1', servername: name, ca: fixture.ca.certificate });
    await assert.rejects(once(failing, 'secureConnect'));
    assert.equal(run.broker.ready, false);
    run.published.leaf = fixture.leaf;
    run.published.tell();
    assert.equal(run.broker.ready, true);
    assert.equal((await run.ask('/v1/identities')).status, 200);
  });

  test('a connection is asked to end after half an hour, spread by a fifth', async () => {
    for (const [random, minutes] of [
      [0, 24],
      [1, 36],
    ] as const) {
      await restart({ random: () => random });
      run.clock.ahead = 0;
      const socketOf = async () => {
        const created = once(run.agent, 'free') as Promise<[TLSSocket]>;
        const answer = await run.ask('/v1/identities');
        return answer.headers.connection === 'close' ? 'close' : (await created) && 'keep';
      };
      assert.equal(await socketOf(), 'keep');
      run.clock.ahead = minutes * 60_000 - 10_000;
      run.caller.token = await mint(fixture.tokens, run.now());
      assert.equal(await socketOf(), 'keep');
      run.clock.ahead = minutes * 60_000 + 10_000;
      assert.equal(await socketOf(), 'close');
    }
  });

  test('stopping answers what is held and asks the client to connect elsewhere', async () => {
    const { headers } = await run.ask('/v1/identities');
    const polling = run.ask('/v1/identities?wait=300', { headers: { 'if-none-match': String(headers.etag) } });
    await run.hold(1);
    const stopped = run.broker.stop();
    const answer = await polling;
    assert.deepEqual([answer.status, answer.headers.connection], [304, 'close']);
    await stopped;
    assert.equal(run.broker.ready, false);
  });
});
