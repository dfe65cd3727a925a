// What Azure refuses, and what the client makes of it.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { pool1 } from '../azure/fixtures.ts';
import { attach, connected, detach, errorOf, failureOf, identity, quickAzure, requests, scopeOf } from './harness.ts';

const pool = scopeOf(pool1);

describe('identities that spoil a write', () => {
  for (const missingIdentity of ['accept', 'completion'])
    test(`one that does not exist, found out at ${missingIdentity}`, async (t) => {
      const { compute } = await connected(t, quickAzure({ missingIdentity }));
      const state = await compute.read(pool);
      const failure = await failureOf(compute.write(pool, attach('writer', 'no-such'), state));
      assert.deepEqual(failure, { code: 'badIdentities', ids: [identity('no-such')], reason: 'notFound' });
    });

  test('all those that the controller may not assign', async (t) => {
    const { compute, emulator } = await connected(t);
    emulator.addFault({ fault: 'role-missing', identity: identity('writer') });
    emulator.addFault({ fault: 'role-missing', identity: identity('third') });
    const failure = await failureOf(compute.write(pool, attach('writer', 'third'), await compute.read(pool)));
    assert.ok(failure.code === 'badIdentities');
    assert.equal(failure.reason, 'missingRole');
    assert.ok(failure.ids.length > 0 && failure.ids.every((id) => [identity('writer'), identity('third')].includes(id)));
  });

  test('by the role model: no Managed Identity Operator on two of three', async (t) => {
    const roles = [
      { principal: 'cccccccc-0000-4000-8000-000000000001', scope: pool1, role: 'Virtual Machine Contributor' },
      { principal: 'cccccccc-0000-4000-8000-000000000001', scope: identity('reader'), role: 'Managed Identity Operator' },
    ];
    const { compute } = await connected(t, quickAzure({}, { roles }));
    const failure = await failureOf(compute.write(pool, attach('writer', 'third'), await compute.read(pool)));
    assert.ok(failure.code === 'badIdentities');
    assert.deepEqual([...failure.ids].sort(), [identity('third'), identity('writer')]);
    assert.equal(failure.reason, 'missingRole');
  });
});

describe('rights', () => {
  test('no right to write the set', async (t) => {
    const roles = [{ principal: 'cccccccc-0000-4000-8000-000000000001', scope: pool1, role: 'Reader' }];
    const { compute } = await connected(t, quickAzure({}, { roles }));
    const failure = await failureOf(compute.write(pool, attach('writer'), await compute.read(pool)));
    assert.deepEqual(failure, { code: 'missingRole', action: 'Microsoft.Compute/virtualMachineScaleSets/write' });
  });

  test('a deny assignment', async (t) => {
    const { compute, emulator } = await connected(t);
    emulator.addFault({ fault: 'deny-assignment', service: 'arm', method: 'write' });
    assert.equal((await failureOf(compute.write(pool, attach('writer'), await compute.read(pool)))).code, 'denyAssignment');
  });

  test('a token that ARM takes no longer is replaced once', async (t) => {
    const { compute, emulator } = await connected(t);
    await compute.read(pool);
    emulator.addFault({ fault: 'unauthorized', service: 'arm', count: 1 });
    await compute.read(pool);
    const signIns = emulator.log.list().filter((entry) => entry.kind === 'request' && entry.service === 'entra');
    assert.equal(signIns.length, 2);
    emulator.addFault({ fault: 'unauthorized', service: 'arm', count: 2 });
    assert.equal((await failureOf(compute.read(pool))).code, 'unauthorized');
  });
});

describe('throttling', () => {
  test('by header: no further call is made until it is over, to other scopes it is', async (t) => {
    const { compute, emulator } = await connected(t);
    const state = await compute.read(pool);
    emulator.addFault({ fault: 'throttled', retryAfter: 120, resource: pool.id, method: 'PATCH', count: 1 });
    const first = await failureOf(compute.write(pool, attach('writer'), state));
    assert.ok(first.code === 'throttled');
    assert.deepEqual([first.retryAfterSeconds, first.source], [120, 'header']);
    const second = await failureOf(compute.write(pool, attach('writer'), state));
    assert.ok(second.code === 'throttled');
    assert.equal(second.source, 'gate');
    assert.ok(second.retryAfterSeconds > 100);
    assert.equal(requests(emulator, 'PATCH').length, 1);
    const other = scopeOf(pool1.replace('virtualMachineScaleSets/Pool1', 'virtualMachines/alone'));
    await compute.write(other, attach('writer'), await compute.read(other));
  });

  test('by the text alone', async (t) => {
    const { compute, emulator } = await connected(t);
    const state = await compute.read(pool);
    emulator.addFault({ fault: 'throttled-identity', seconds: 33, resource: pool.id, method: 'PATCH', count: 1 });
    const failure = await failureOf(compute.write(pool, attach('writer'), state));
    assert.ok(failure.code === 'throttled');
    assert.deepEqual([failure.retryAfterSeconds, failure.source], [33, 'text']);
  });

  test("by Azure's real budgets: the thirteenth write in a minute is refused and told as such", async (t) => {
    const { compute } = await connected(
      t,
      quickAzure({ lro: '200' }, { settings: { limits: { imds: false, arm: true }, arm: { lro: '200' } } }),
    );
    let state = await compute.read(pool);
    let failure: Awaited<ReturnType<typeof failureOf>> | undefined;
    for (let index = 0; index < 14 && failure === undefined; index += 1) {
      const write = index % 2 === 0 ? attach('writer') : detach('writer');
      failure = await compute.write(pool, write, state).then(
        () => undefined,
        (error: unknown) => failureOf(Promise.reject(error)),
      );
      if (failure === undefined) state = await compute.read(pool);
    }
    assert.equal(failure?.code, 'throttled');
  });
});

describe('everything else that goes wrong', () => {
  test('a conflict, with the request ids that support asks for', async (t) => {
    const { compute, emulator, logged } = await connected(t);
    const state = await compute.read(pool);
    emulator.addFault({ fault: 'conflict', service: 'arm', count: 1 });
    const error = await errorOf(compute.write(pool, attach('writer'), state));
    assert.equal(error.failure.code, 'conflict');
    assert.ok(error.ids.requestId !== undefined && error.ids.correlationId !== undefined);
    assert.ok(logged.some((line) => line.includes('PATCH') && line.includes(error.ids.requestId ?? '-')));
  });

  test('a newer operation pre-empts ours', async (t) => {
    const { compute, emulator } = await connected(t);
    const state = await compute.read(pool);
    emulator.addFault({ fault: 'operation', ms: 20, end: 'Canceled', code: 'OperationPreempted' });
    assert.equal((await failureOf(compute.write(pool, attach('writer'), state))).code, 'canceled');
  });

  test('the set is gone', async (t) => {
    const { compute, emulator } = await connected(t);
    const state = await compute.read(pool);
    await emulator.act({ do: 'delete', resource: pool.id });
    assert.equal((await failureOf(compute.read(pool))).code, 'notFound');
    assert.equal((await failureOf(compute.write(pool, attach('writer'), state))).code, 'notFound');
  });

  test('a broken connection and a bad gateway are transient; while polling they only delay', async (t) => {
    const { compute, emulator } = await connected(t);
    const state = await compute.read(pool);
    emulator.addFault({ fault: 'reset', service: 'arm', count: 1 });
    assert.equal((await failureOf(compute.read(pool))).code, 'transient');
    emulator.addFault({
      fault: 'answer',
      service: 'arm',
      count: 1,
      status: 502,
      headers: { 'content-type': 'application/json' },
      body: '<html>',
    });
    assert.equal((await failureOf(compute.read(pool))).code, 'transient');
    emulator.addFault({ fault: 'reset', service: 'arm', method: 'GET', count: 1 });
    emulator.addFault({ fault: 'answer', service: 'arm', method: 'GET', count: 1, status: 503 });
    await compute.write(pool, attach('writer'), state);
    assert.ok((await compute.read(pool)).identities.has(identity('writer')));
  });

  test('an answer that never comes ends with the signal', async (t) => {
    const { compute, emulator } = await connected(t);
    emulator.addFault({ fault: 'hang', service: 'arm' });
    const stop = new AbortController();
    const reason = new Error('stopped');
    const reading = compute.read(pool, stop.signal);
    await emulator.log.waitFor((entry) => entry.kind === 'request' && entry.service === 'entra');
    stop.abort(reason);
    await assert.rejects(reading, (error) => error === reason);
  });

  test('an api-version that the server does not know is replaced by the newest it offers, from then on', async (t) => {
    const { compute, emulator } = await connected(t);
    const body = {
      error: {
        code: 'InvalidApiVersionParameter',
        message:
          "The api-version '2026-04-01' is invalid. The supported versions are '2019-12-01,2024-03-01,2025-04-01-preview,2017-03-30'.",
      },
    };
    emulator.addFault({ fault: 'answer', service: 'arm', count: 1, status: 400, body });
    await compute.read(pool);
    await compute.read(pool);
    const versions = requests(emulator).map(({ query }) => new URLSearchParams(query).get('api-version'));
    assert.deepEqual(versions, ['2026-04-01', '2024-03-01', '2024-03-01']);
  });
});
