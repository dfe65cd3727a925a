import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { scopeOfId } from '../../../lib/azure/resource-ids.ts';
import type { ArmRequest } from './client.ts';
import { createCompute } from './compute.ts';
import type { Answer } from './errors.ts';
import { ArmError } from './errors.ts';
import { createGates } from './gates.ts';

const resourceManager = 'https://management.azure.com';
const operations = `${resourceManager}/subscriptions/s/providers/Microsoft.Compute/locations/west/operations/1?api-version=2026-04-01`;
const one = identity('one');
const two = identity('two');

function identity(name: string): string {
  return `/subscriptions/s/resourcegroups/rg/providers/microsoft.managedidentity/userassignedidentities/${name}`;
}

function scopeNamed(name: string) {
  const scope = scopeOfId(`/subscriptions/s/resourceGroups/RG/providers/Microsoft.Compute/virtualMachineScaleSets/${name}`);
  assert.ok(scope);
  return scope;
}
const scope = scopeNamed('pool');

const answer = (status: number, body: unknown = undefined, headers: Record<string, string> = {}): Answer => ({ status, body, headers });
const refusal = (status: number, code: string, message = '', headers: Record<string, string> = {}) =>
  answer(status, { error: { code, message } }, headers);
const resource = (about: { type?: string; ids?: Record<string, unknown>; etag?: string; state?: string } = {}) =>
  answer(200, {
    id: scope.displayId,
    location: 'west',
    ...(about.etag === undefined ? {} : { etag: about.etag }),
    properties: { provisioningState: about.state ?? 'Succeeded' },
    identity: { type: about.type ?? 'UserAssigned', userAssignedIdentities: about.ids ?? { [one]: { clientId: 'c', principalId: 'p' } } },
  });
const accepted = (headers: Record<string, string> = {}) => answer(202, undefined, { 'azure-asyncoperation': operations, ...headers });
const status = (text: string, error?: object, headers: Record<string, string> = {}) =>
  answer(200, { status: text, ...(error === undefined ? {} : { error }) }, headers);

/** A client over scripted answers and a clock that only sleeping moves. */
function against(...script: (Answer | Error | (() => Answer))[]) {
  const requests: (ArmRequest & { at: number })[] = [];
  let now = 0;
  const compute = createCompute({
    send: async (request) => {
      requests.push({ ...request, at: now });
      const next = script.shift();
      assert.ok(next, `an unexpected call: ${request.method} ${request.url}`);
      if (next instanceof Error) throw next;
      return typeof next === 'function' ? next() : next;
    },
    gates: createGates(() => now),
    resourceManager,
    pollMs: 2000,
    budgetMs: 900_000,
    now: () => now,
    sleep: async (ms) => {
      now += ms;
    },
  });
  return {
    compute,
    requests,
    polls: () => requests.filter(({ method }) => method === 'GET').map(({ at }) => at),
    pass: (ms: number) => (now += ms),
  };
}

const failureOf = async (promise: Promise<unknown>) => {
  const error = await promise.then(
    () => assert.fail('it did not fail'),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof ArmError, String(error));
  return error.failure;
};

const seen = () => ({
  type: 'UserAssigned' as const,
  identities: new Map([[one, { clientId: 'c', principalId: 'p' }]]),
  etag: '"1"',
  provisioningState: 'Succeeded',
  location: 'west',
  readAt: 0,
});
const attachTwo = { attach: [two], detach: [] };

describe('read', () => {
  test('ids come lower-cased, a recreated identity as null, the etag from body or header', async () => {
    const { compute } = against(
      resource({
        ids: { [one.toUpperCase()]: { clientId: 'c', principalId: 'p' }, [two]: { clientId: null, principalId: null } },
        etag: '"7"',
        state: 'Updating',
      }),
      { ...resource(), headers: { etag: '"8"' } },
    );
    const state = await compute.read(scope);
    assert.deepEqual(
      [...state.identities],
      [
        [one, { clientId: 'c', principalId: 'p' }],
        [two, null],
      ],
    );
    assert.equal(state.etag, '"7"');
    assert.equal(state.provisioningState, 'Updating');
    assert.equal((await compute.read(scope)).etag, '"8"');
  });

  test('an answer that is not the resource never passes for one without identities', async () => {
    const { compute } = against(answer(200, '<html>'), answer(200, {}), answer(200, { id: 'x', identity: { type: 'Unheard' } }));
    assert.equal((await failureOf(compute.read(scope))).code, 'transient');
    assert.equal((await failureOf(compute.read(scope))).code, 'transient');
    assert.equal((await failureOf(compute.read(scope))).code, 'unknown');
  });
});

describe('write', () => {
  test('sends the delta against the etag that was seen and follows the operation to its end', async () => {
    const { compute, requests } = against(accepted(), status('InProgress'), status('Succeeded'));
    const told: string[] = [];
    await compute.write(scope, attachTwo, seen(), { onOperation: (url) => void told.push(url) });
    assert.equal(requests[0]?.method, 'PATCH');
    assert.equal(requests[0]?.ifMatch, '"1"');
    assert.deepEqual(requests[0]?.body, { identity: { type: 'UserAssigned', userAssignedIdentities: { [two]: {} } } });
    assert.deepEqual(told, [operations]);
    assert.deepEqual(
      requests.map(({ at }) => at),
      [0, 2000, 4000],
    );
  });

  test('nothing is sent when the state is already so', async () => {
    const { compute, requests } = against();
    await compute.write(scope, { attach: [one], detach: [two] }, seen());
    assert.equal(requests.length, 0);
  });

  test('without an etag an old state is read anew, and what came in between decides the type', async () => {
    const { compute, requests, pass } = against(resource({ ids: { [one]: {}, [two]: {} } }), answer(200));
    pass(2001);
    await compute.write(scope, { attach: [], detach: [one] }, { ...seen(), etag: undefined });
    assert.deepEqual(
      requests.map(({ method }) => method),
      ['GET', 'PATCH'],
    );
    assert.deepEqual(requests[1]?.body, { identity: { type: 'UserAssigned', userAssignedIdentities: { [one]: null } } });
  });

  test('without an etag a state is as old as its question, however late the answer came', async () => {
    const late = () => {
      pass(2001);
      return resource();
    };
    const { compute, requests, pass } = against(late, resource({ ids: { [one]: {}, [two]: {} } }), answer(200));
    await compute.write(scope, { attach: [], detach: [one] }, await compute.read(scope));
    assert.deepEqual(requests.at(-1)?.body, { identity: { type: 'UserAssigned', userAssignedIdentities: { [one]: null } } });
  });

  test('a set that is being deleted is left alone', async () => {
    const { compute, requests } = against();
    assert.equal((await failureOf(compute.write(scope, attachTwo, { ...seen(), provisioningState: 'Deleting' }))).code, 'notFound');
    assert.equal(requests.length, 0);
  });
});

describe('the operation', () => {
  const write = (...script: (Answer | Error)[]) => {
    const informers = against(...script);
    return { ...informers, done: informers.compute.write(scope, attachTwo, seen()) };
  };

  test('every way to accept it is understood', async () => {
    await write(answer(200)).done;
    await write(resource()).done;
    await write(answer(200, resource().body, { 'azure-asyncoperation': operations }), status('Succeeded')).done;
    await write(answer(202, undefined, { location: operations }), answer(202), resource({ state: 'Updating' })).done;
    // Only the resource itself can tell.
    await write(answer(202), resource({ state: 'Updating' }), resource()).done;
    await write(resource({ state: 'Updating' }), resource()).done;
  });

  test('is looked at every 2 s for a minute and then every 10 s', async () => {
    const { polls, done } = write(accepted(), ...Array.from({ length: 40 }, () => status('InProgress')), status('Succeeded'));
    await done;
    const gaps = polls().map((at, index, all) => at - (all[index - 1] ?? 0));
    assert.deepEqual(
      gaps.slice(0, 30),
      Array.from({ length: 30 }, () => 2000),
    );
    assert.deepEqual(
      gaps.slice(31),
      Array.from({ length: 10 }, () => 10_000),
    );
  });

  test('Retry-After is obeyed, from the first answer on', async () => {
    const { polls, done } = write(
      accepted({ 'retry-after': '15' }),
      status('InProgress', undefined, { 'retry-after': '7' }),
      status('InProgress'),
      status('Succeeded'),
    );
    await done;
    assert.deepEqual(polls(), [15_000, 22_000, 24_000]);
  });

  test('a failed question is asked again, a throttled one when its gate opens', async () => {
    const { polls, done } = write(
      accepted(),
      answer(503),
      new ArmError({ code: 'transient', retryAfterSeconds: undefined }, 'reset'),
      refusal(429, 'TooManyRequests', '', { 'retry-after': '30' }),
      status('Succeeded'),
    );
    await done;
    assert.deepEqual(polls(), [2000, 4000, 6000, 36_000]);
  });

  test('its failure is told by code; a throttled one closes the gate for writes', async () => {
    const failed = write(accepted(), status('Failed', { code: 'FailedIdentityOperation', message: `Resource '${two}' was not found.` }));
    assert.deepEqual(await failureOf(failed.done), { code: 'badIdentities', ids: [two], reason: 'notFound' });
    assert.equal(
      (await failureOf(write(accepted(), status('Canceled', { code: 'OperationPreempted', message: 'x' })).done)).code,
      'canceled',
    );
    const throttled = write(
      accepted(),
      status('Failed', { code: 'FailedIdentityOperation', message: 'temporarily throttled. Retry after 40 seconds.' }),
    );
    assert.equal((await failureOf(throttled.done)).code, 'throttled');
    assert.deepEqual(await failureOf(throttled.compute.write(scope, attachTwo, seen())), {
      code: 'throttled',
      of: 'scope',
      source: 'gate',
      retryAfterSeconds: 40,
    });
  });

  test('one whose URL expired, or that never ends, has an unknown outcome', async () => {
    assert.equal((await failureOf(write(accepted(), refusal(404, 'NotFound')).done)).code, 'operationLost');
    const endless = write(accepted(), ...Array.from({ length: 200 }, () => status('InProgress')));
    assert.equal((await failureOf(endless.done)).code, 'operationLost');
    assert.ok((endless.polls().at(-1) ?? 0) <= 900_000);
  });

  test('of another host is not asked, since our token goes with every question', async () => {
    for (const url of ['https://evil.example/op', 'http://management.azure.com/op', 'https://management.azure.com.evil.example/op']) {
      const { requests, done } = write(answer(202, undefined, { 'azure-asyncoperation': url }), resource());
      await done;
      assert.equal(requests[1]?.url, scope.displayId, url);
    }
    const regional = 'https://west.management.azure.com/op';
    const { requests, done } = write(answer(202, undefined, { 'azure-asyncoperation': regional }), status('Succeeded'));
    await done;
    assert.equal(requests[1]?.url, regional);
  });

  test('is followed on after a restart, at once', async () => {
    const { compute, polls } = against(status('InProgress'), status('Succeeded'));
    await compute.resume(scope, operations);
    assert.deepEqual(polls(), [0, 2000]);
  });

  test('waiting ends with the signal, with its reason', async () => {
    const reason = new Error('leadership lost');
    const stop = new AbortController();
    const { compute } = against(accepted());
    const written = compute.write(scope, attachTwo, seen(), { signal: stop.signal, onOperation: () => stop.abort(reason) });
    await assert.rejects(written, (error) => error === reason);
  });
});

describe('gates', () => {
  test('a refused call closes the way for that scope only, and no call passes until it opens', async () => {
    const { compute, requests, pass } = against(
      refusal(429, 'OperationNotAllowed', '', { 'retry-after': '300' }),
      answer(200),
      answer(200),
    );
    assert.equal((await failureOf(compute.write(scope, attachTwo, seen()))).code, 'throttled');
    const second = await failureOf(compute.write(scope, attachTwo, seen()));
    assert.deepEqual(second, { code: 'throttled', of: 'scope', source: 'gate', retryAfterSeconds: 300 });
    assert.equal(requests.length, 1);
    await compute.write(scopeNamed('other'), attachTwo, seen());
    pass(300_000);
    await compute.write(scope, attachTwo, seen());
    assert.equal(requests.length, 3);
  });
});
