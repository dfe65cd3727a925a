// Errors of Azure, and what the client reports for them.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import pino from 'pino';
import { pool1 } from '../azure/fixtures.ts';
import { attach, connected, detach, errorOf, failureOf, identity, quickAzure, requests, scopeOf } from './harness.ts';

const pool = scopeOf(pool1);

describe('an identity that fails a write', () => {
  for (const missingIdentity of ['accept', 'completion'])
    test(`is named when it does not exist, on ${missingIdentity}`, async (t) => {
      const { compute } = await connected(t, quickAzure({ missingIdentity }));
      const state = await compute.read(pool);
      const failure = await failureOf(compute.write(pool, attach('writer', 'no-such'), state));
      assert.deepEqual(failure, { code: 'identityNotFound', ids: [identity('no-such')] });
    });

  test('is named when the controller has no right to assign it', async (t) => {
    const { compute, emulator } = await connected(t);
    emulator.addFault({ fault: 'role-missing', identity: identity('writer') });
    emulator.addFault({ fault: 'role-missing', identity: identity('third') });
    const failure = await failureOf(compute.write(pool, attach('writer', 'third'), await compute.read(pool)));
    assert.ok(failure.code === 'identityRoleMissing');
    assert.ok(failure.ids.length > 0 && failure.ids.every((id) => [identity('writer'), identity('third')].includes(id)));
  });

  test('is named when Managed Identity Operator is missing for it', async (t) => {
    const roles = [
      { principal: 'cccccccc-0000-4000-8000-000000000001', scope: pool1, role: 'Virtual Machine Contributor' },
      { principal: 'cccccccc-0000-4000-8000-000000000001', scope: identity('reader'), role: 'Managed Identity Operator' },
    ];
    const { compute } = await connected(t, quickAzure({}, { roles }));
    const failure = await failureOf(compute.write(pool, attach('writer', 'third'), await compute.read(pool)));
    assert.ok(failure.code === 'identityRoleMissing');
    assert.deepEqual([...failure.ids].sort(), [identity('third'), identity('writer')]);
  });
});

describe('a refusal that lasts', () => {
  test('names an attached identity that was deleted, and none of the write', async (t) => {
    const { compute, emulator } = await connected(t);
    emulator.addFault({ fault: 'ghost', attached: identity('reader') });
    const error = await errorOf(compute.write(pool, attach('writer'), await compute.read(pool)));
    assert.deepEqual(error.failure, { code: 'attachedIdentityGone', ids: [identity('reader')] });
    assert.ok(error.message.toLowerCase().includes(identity('reader')));
  });

  test('names the attached identity also at the end of an operation', async (t) => {
    const { compute, emulator } = await connected(t, quickAzure({ missingIdentity: 'completion' }));
    emulator.addFault({ fault: 'ghost', attached: identity('reader') });
    assert.deepEqual(await failureOf(compute.write(pool, attach('writer'), await compute.read(pool))), {
      code: 'attachedIdentityGone',
      ids: [identity('reader')],
    });
  });

  test('says which right is missing on what the scale set refers to', async (t) => {
    const { compute, emulator } = await connected(t);
    emulator.addFault({ fault: 'linked-forbidden', linkedScope: '/subscriptions/s/subnet' });
    assert.deepEqual(await failureOf(compute.write(pool, attach('writer'), await compute.read(pool))), {
      code: 'linkedRoleMissing',
      action: 'Microsoft.Network/virtualNetworks/subnets/join/action',
      scope: '/subscriptions/s/subnet',
    });
  });

  for (const [fault, code] of [
    ['scope-locked', 'scopeLocked'],
    ['subscription-disabled', 'subscriptionDisabled'],
    ['property-change', 'changeNotAllowed'],
    ['quota-exceeded', 'quotaExceeded'],
    ['policy-denied', 'policyDenied'],
    ['reference-missing', 'referenceNotFound'],
  ] as const)
    test(`is ${code} where Azure answers ${fault}`, async (t) => {
      const { compute, emulator } = await connected(t);
      emulator.addFault({ fault });
      assert.deepEqual(await failureOf(compute.write(pool, attach('writer'), await compute.read(pool))), { code });
    });
});

describe('rights', () => {
  test('reports a missing right to write the scale set', async (t) => {
    const roles = [{ principal: 'cccccccc-0000-4000-8000-000000000001', scope: pool1, role: 'Reader' }];
    const { compute } = await connected(t, quickAzure({}, { roles }));
    const failure = await failureOf(compute.write(pool, attach('writer'), await compute.read(pool)));
    assert.deepEqual(failure, { code: 'missingRole', action: 'Microsoft.Compute/virtualMachineScaleSets/write' });
  });

  test('logs an answer that refuses a call as a warning, and others as information', async (t) => {
    const roles = [{ principal: 'cccccccc-0000-4000-8000-000000000001', scope: pool1, role: 'Reader' }];
    const { compute, logged } = await connected(t, quickAzure({}, { roles }));
    await failureOf(compute.write(pool, attach('writer'), await compute.read(pool)));
    const answers = logged.map((line): { level: number; msg: string; status: number } => JSON.parse(line));
    assert.deepEqual(
      answers.filter(({ msg }) => msg === 'Azure answered').map(({ level, status }) => [pino.levels.labels[level], status]),
      [
        ['info', 200],
        ['warn', 403],
      ],
    );
  });

  test('reports a deny assignment', async (t) => {
    const { compute, emulator } = await connected(t);
    emulator.addFault({ fault: 'deny-assignment', service: 'arm', method: 'write' });
    assert.equal((await failureOf(compute.write(pool, attach('writer'), await compute.read(pool)))).code, 'denyAssignment');
  });

  test('replaces a token that ARM refuses, once', async (t) => {
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
  test('waits for Retry-After before it calls this scope again, not for others', async (t) => {
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

  test('reads the wait from the text of the identity service', async (t) => {
    const { compute, emulator } = await connected(t);
    const state = await compute.read(pool);
    emulator.addFault({ fault: 'throttled-identity', seconds: 33, resource: pool.id, method: 'PATCH', count: 1 });
    const failure = await failureOf(compute.write(pool, attach('writer'), state));
    assert.ok(failure.code === 'throttled');
    assert.deepEqual([failure.retryAfterSeconds, failure.source], [33, 'text']);
  });

  test("reports the thirteenth write in a minute as throttled, by Azure's budgets", async (t) => {
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

describe('other errors', () => {
  test('reports a conflict with the request ids that Azure support needs', async (t) => {
    const { compute, emulator, logged } = await connected(t);
    const state = await compute.read(pool);
    emulator.addFault({ fault: 'conflict', service: 'arm', count: 1 });
    const error = await errorOf(compute.write(pool, attach('writer'), state));
    assert.equal(error.failure.code, 'conflict');
    assert.ok(error.ids.requestId !== undefined && error.ids.correlationId !== undefined);
    assert.ok(logged.some((line) => line.includes('PATCH') && line.includes(error.ids.requestId ?? '-')));
  });

  test('reports an operation that a newer one preempts', async (t) => {
    const { compute, emulator } = await connected(t);
    const state = await compute.read(pool);
    emulator.addFault({ fault: 'operation', ms: 20, end: 'Canceled', code: 'OperationPreempted' });
    assert.equal((await failureOf(compute.write(pool, attach('writer'), state))).code, 'canceled');
  });

  test('reports a scale set that was deleted', async (t) => {
    const { compute, emulator } = await connected(t);
    const state = await compute.read(pool);
    await emulator.act({ do: 'delete', resource: pool.id });
    assert.equal((await failureOf(compute.read(pool))).code, 'notFound');
    assert.equal((await failureOf(compute.write(pool, attach('writer'), state))).code, 'notFound');
  });

  test('takes a broken connection and a 502 for transient, and polls on', async (t) => {
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

  test('stops waiting for an answer when the signal aborts', async (t) => {
    const { compute, emulator } = await connected(t);
    emulator.addFault({ fault: 'hang', service: 'arm' });
    const stop = new AbortController();
    const reason = new Error('stopped');
    const reading = compute.read(pool, stop.signal);
    await emulator.log.waitFor((entry) => entry.kind === 'request' && entry.service === 'entra');
    stop.abort(reason);
    await assert.rejects(reading, (error) => error === reason);
  });

  test('replaces an unknown api-version by the newest that the server offers', async (t) => {
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
