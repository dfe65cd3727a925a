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
const errorAnswer = (status: number, code: string, message = '', headers: Record<string, string> = {}) =>
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
  imdsRestricted: false,
  readAt: 0,
});
const attachTwo = { attach: [two], detach: [] };

describe('Compute.read', () => {
  test('reads ids in lower case, recreated identities as null, and the etag', async () => {
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

  test('reads from a tag whether AKS restricts IMDS', async () => {
    const tagged = (tags: unknown) => {
      const given = resource();
      return { ...given, body: { ...(given.body as object), tags } };
    };
    const tag = 'aks-managed-enable-imds-restriction';
    const { compute } = against(tagged({ [tag]: 'true' }), tagged({ [tag]: 'false' }), tagged(undefined));
    for (const expected of [true, false, false]) assert.equal((await compute.read(scope)).imdsRestricted, expected);
  });

  test('rejects a body that is not the resource instead of reading no identities', async () => {
    const { compute } = against(answer(200, '<html>'), answer(200, {}), answer(200, { id: 'x', identity: { type: 'Unheard' } }));
    assert.equal((await failureOf(compute.read(scope))).code, 'transient');
    assert.equal((await failureOf(compute.read(scope))).code, 'transient');
    assert.equal((await failureOf(compute.read(scope))).code, 'unknown');
  });
});

describe('Compute.write', () => {
  test('sends the difference with If-Match and follows the operation to its end', async () => {
    const { compute, requests } = against(accepted(), status('InProgress'), status('Succeeded'));
    const urls: string[] = [];
    await compute.write(scope, attachTwo, seen(), { onOperation: (url) => void urls.push(url) });
    assert.equal(requests[0]?.method, 'PATCH');
    assert.equal(requests[0]?.ifMatch, '"1"');
    assert.deepEqual(requests[0]?.body, { identity: { type: 'UserAssigned', userAssignedIdentities: { [two]: {} } } });
    assert.deepEqual(urls, [operations]);
    assert.deepEqual(
      requests.map(({ at }) => at),
      [0, 2000, 4000],
    );
  });

  test('sends nothing when the identities are already as wanted', async () => {
    const { compute, requests } = against();
    await compute.write(scope, { attach: [one], detach: [two] }, seen());
    assert.equal(requests.length, 0);
  });

  test('reads the scope again before a write when an old state has no etag', async () => {
    const { compute, requests, pass } = against(resource({ ids: { [one]: {}, [two]: {} } }), answer(200));
    pass(2001);
    await compute.write(scope, { attach: [], detach: [one] }, { ...seen(), etag: undefined });
    assert.deepEqual(
      requests.map(({ method }) => method),
      ['GET', 'PATCH'],
    );
    assert.deepEqual(requests[1]?.body, { identity: { type: 'UserAssigned', userAssignedIdentities: { [one]: null } } });
  });

  test('counts the age of a state without etag from the start of its GET', async () => {
    const late = () => {
      pass(2001);
      return resource();
    };
    const { compute, requests, pass } = against(late, resource({ ids: { [one]: {}, [two]: {} } }), answer(200));
    await compute.write(scope, { attach: [], detach: [one] }, await compute.read(scope));
    assert.deepEqual(requests.at(-1)?.body, { identity: { type: 'UserAssigned', userAssignedIdentities: { [one]: null } } });
  });

  test('sends nothing to a scale set that is being deleted', async () => {
    const { compute, requests } = against();
    assert.equal((await failureOf(compute.write(scope, attachTwo, { ...seen(), provisioningState: 'Deleting' }))).code, 'notFound');
    assert.equal(requests.length, 0);
  });
});

describe('operation of a write', () => {
  const write = (...script: (Answer | Error)[]) => {
    const informers = against(...script);
    return { ...informers, done: informers.compute.write(scope, attachTwo, seen()) };
  };

  test('follows an operation announced by either header or by the resource', async () => {
    await write(answer(200)).done;
    await write(resource()).done;
    await write(answer(200, resource().body, { 'azure-asyncoperation': operations }), status('Succeeded')).done;
    await write(answer(202, undefined, { location: operations }), answer(202), resource({ state: 'Updating' })).done;
    // Only the resource itself has the state.
    await write(answer(202), resource({ state: 'Updating' }), resource()).done;
    await write(resource({ state: 'Updating' }), resource()).done;
  });

  test('polls an operation every 2 s for a minute, then every 10 s', async () => {
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

  test('obeys Retry-After from the answer to the PATCH on', async () => {
    const { polls, done } = write(
      accepted({ 'retry-after': '15' }),
      status('InProgress', undefined, { 'retry-after': '7' }),
      status('InProgress'),
      status('Succeeded'),
    );
    await done;
    assert.deepEqual(polls(), [15_000, 22_000, 24_000]);
  });

  test('polls again after a failed poll, and after a throttled one when its gate opens', async () => {
    const { polls, done } = write(
      accepted(),
      answer(503),
      new ArmError({ code: 'transient', retryAfterSeconds: undefined }, 'reset'),
      errorAnswer(429, 'TooManyRequests', '', { 'retry-after': '30' }),
      status('Succeeded'),
    );
    await done;
    assert.deepEqual(polls(), [2000, 4000, 6000, 36_000]);
  });

  test('reports for how long Azure refuses questions about an operation', async () => {
    const { compute } = against(
      accepted(),
      answer(503),
      errorAnswer(429, 'TooManyRequests', '', { 'retry-after': '30' }),
      status('Succeeded'),
    );
    const waits: number[] = [];
    await compute.write(scope, attachTwo, seen(), { onThrottled: (waitMs) => void waits.push(waitMs) });
    assert.deepEqual(waits, [30_000]);
  });

  test('maps a failed operation, and closes the gate for writes if it was throttled', async () => {
    const failed = write(accepted(), status('Failed', { code: 'FailedIdentityOperation', message: `Resource '${two}' was not found.` }));
    assert.deepEqual(await failureOf(failed.done), { code: 'identityNotFound', ids: [two] });
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

  test('reports an operation as lost when its URL expired or it never ends', async () => {
    assert.equal((await failureOf(write(accepted(), errorAnswer(404, 'NotFound')).done)).code, 'operationLost');
    const endless = write(accepted(), ...Array.from({ length: 200 }, () => status('InProgress')));
    assert.equal((await failureOf(endless.done)).code, 'operationLost');
    assert.ok((endless.polls().at(-1) ?? 0) <= 900_000);
  });

  test('never sends its token to an operation URL of another host', async () => {
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

  test('polls a resumed operation at once', async () => {
    const { compute, polls } = against(status('InProgress'), status('Succeeded'));
    await compute.resume(scope, operations);
    assert.deepEqual(polls(), [0, 2000]);
  });

  test('stops waiting for an operation with the reason of its signal', async () => {
    const reason = new Error('leadership lost');
    const stop = new AbortController();
    const { compute } = against(accepted());
    const written = compute.write(scope, attachTwo, seen(), { signal: stop.signal, onOperation: () => stop.abort(reason) });
    await assert.rejects(written, (error) => error === reason);
  });
});

describe('gates of Compute', () => {
  test('makes no call for a throttled scope until its wait is over', async () => {
    const { compute, requests, pass } = against(
      errorAnswer(429, 'OperationNotAllowed', '', { 'retry-after': '300' }),
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
