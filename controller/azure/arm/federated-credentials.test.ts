import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ArmRequest } from './client.ts';
import type { Answer } from './errors.ts';
import { ArmError } from './errors.ts';
import { createFederatedCredentials } from './federated-credentials.ts';
import { createGates } from './gates.ts';
import { federationErrorOf } from './testing/federation-error.ts';

const resourceManager = 'https://management.azure.com';
const identity = '/subscriptions/s/resourceGroups/RG/providers/Microsoft.ManagedIdentity/userAssignedIdentities/One';
const path = identity.toLowerCase();
const collection = `${path}/federatedIdentityCredentials`;
const version = '?api-version=2023-01-31';
const trust = { issuer: 'https://issuer.example/', subject: 'system:serviceaccount:a:b', audiences: ['api://AzureADTokenExchange'] };

const answer = (status: number, body: unknown = undefined, headers: Record<string, string> = {}): Answer => ({ status, body, headers });
const errorAnswer = (status: number, code: string, message = '', headers: Record<string, string> = {}) =>
  answer(status, { error: { code, message } }, headers);
const listed = (name: string, properties: object = trust) => ({ id: `${identity}/federatedIdentityCredentials/${name}`, name, properties });

/** A client over scripted answers and a clock that stands still. */
function against(...script: (Answer | Error)[]) {
  const requests: ArmRequest[] = [];
  let now = 0;
  const credentials = createFederatedCredentials({
    send: async (request) => {
      requests.push(request);
      const next = script.shift();
      assert.ok(next, `an unexpected call: ${request.method} ${request.url}`);
      if (next instanceof Error) throw next;
      return next;
    },
    gates: createGates(() => now),
    resourceManager,
    now: () => now,
  });
  return {
    credentials,
    calls: () => requests.map(({ method, url }) => `${method} ${url}`),
    requests,
    pass: (ms: number) => {
      now += ms;
    },
  };
}

describe('FederatedCredentials', () => {
  test('reads client, tenant and object id of an identity', async () => {
    const { credentials, calls } = against(answer(200, { id: identity, properties: { clientId: 'c', tenantId: 't', principalId: 'p' } }));
    assert.deepEqual(await credentials.getIdentity(identity), { clientId: 'c', tenantId: 't', principalId: 'p' });
    assert.deepEqual(calls(), [`GET ${path}${version}`]);
  });

  test('does not take an answer without ids for the identity', async () => {
    for (const body of [undefined, '<html>', {}, { properties: { clientId: 'c', tenantId: '', principalId: 'p' } }]) {
      const { credentials } = against(answer(200, body));
      assert.equal((await federationErrorOf(credentials.getIdentity(identity))).code, 'transient');
    }
  });

  test('lists the credentials of all pages', async () => {
    const next = `${resourceManager}${collection}${version}&$skiptoken=2`;
    const { credentials, calls } = against(
      answer(200, { value: [listed('a')], nextLink: next }),
      answer(200, { value: [listed('b')], nextLink: '' }),
    );
    assert.deepEqual(await credentials.list(identity), [
      { name: 'a', ...trust },
      { name: 'b', ...trust },
    ]);
    assert.deepEqual(calls(), [`GET ${collection}${version}`, `GET ${next}`]);
  });

  test('does not send its token to another host that a list names as next', async () => {
    for (const nextLink of ['https://evil.example/x', '//evil.example/x', 'https://management.azure.com@evil.example/', 'x']) {
      const { credentials, calls } = against(answer(200, { value: [], nextLink }));
      assert.equal((await federationErrorOf(credentials.list(identity))).code, 'transient');
      assert.equal(calls().length, 1);
    }
  });

  test('ends a list whose pages go round in circles', async () => {
    const page = answer(200, { value: [], nextLink: `${resourceManager}${collection}${version}` });
    const { credentials, calls } = against(...Array.from({ length: 20 }, () => page));
    assert.equal((await federationErrorOf(credentials.list(identity))).code, 'transient');
    assert.equal(calls().length, 20);
  });

  test('does not take a body that is no list for an empty list', async () => {
    for (const body of [undefined, '', {}, { value: {} }, { value: [{}] }, { value: [listed('a', { issuer: 'x', subject: 'y' })] }]) {
      const { credentials } = against(answer(200, body));
      assert.equal((await federationErrorOf(credentials.list(identity))).code, 'transient', JSON.stringify(body));
    }
  });

  test('puts a credential with its name in the path', async () => {
    const { credentials, calls, requests } = against(answer(201));
    await credentials.put(identity, 'aad-pod-identity-1', trust);
    assert.deepEqual(calls(), [`PUT ${collection}/aad-pod-identity-1${version}`]);
    assert.deepEqual(requests[0]?.body, { properties: trust });
  });

  test('cannot be led to another resource by the name of a credential', async () => {
    const { credentials, calls } = against(answer(204));
    await credentials.remove(identity, '../../other?x=');
    assert.deepEqual(calls(), [`DELETE ${collection}/..%2F..%2Fother%3Fx%3D${version}`]);
  });

  test('removes a credential that is not there, or whose identity is not', async () => {
    for (const gone of [answer(200), answer(204), errorAnswer(404, 'ParentResourceNotFound')])
      await against(gone).credentials.remove(identity, 'name');
    const refused = against(errorAnswer(403, 'AuthorizationFailed')).credentials.remove(identity, 'name');
    assert.equal((await federationErrorOf(refused)).code, 'missingRole');
  });

  test('keeps 4 s between the writes of one identity and reads meanwhile', async () => {
    const { credentials, calls, pass } = against(answer(201), answer(200, { value: [] }), answer(201), answer(200));
    await credentials.put(identity, 'a', trust);
    const early = await federationErrorOf(credentials.put(identity.toUpperCase(), 'b', trust));
    assert.deepEqual([early.code, early.retryAfterSeconds], ['throttled', 4]);
    await credentials.list(identity);
    await credentials.put(`${identity}2`, 'b', trust);
    pass(4000);
    await credentials.remove(identity, 'a');
    assert.equal(calls().length, 4);
  });

  test('makes no call within the wait that Azure asked for', async () => {
    const { credentials, calls, pass } = against(errorAnswer(429, 'TooManyRequests', '', { 'retry-after': '30' }), answer(201));
    assert.equal((await federationErrorOf(credentials.put(identity, 'a', trust))).retryAfterSeconds, 30);
    pass(29_000);
    assert.equal((await federationErrorOf(credentials.put(identity, 'a', trust))).retryAfterSeconds, 1);
    assert.equal(calls().length, 1);
    pass(1000);
    await credentials.put(identity, 'a', trust);
  });

  test('names the action of a missing role, and what Azure support asks for', async () => {
    const action = 'Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials/write';
    const text = `The client 'x' with object id 'y' does not have authorization to perform action '${action}' over scope '${identity}' or the scope is invalid.`;
    const { credentials } = against(errorAnswer(403, 'AuthorizationFailed', text, { 'x-ms-request-id': 'r' }));
    const error = await federationErrorOf(credentials.put(identity, 'a', trust));
    const { code, action: missing, status, azureCode, ids, message } = error;
    assert.deepEqual([code, missing, status, azureCode, ids], ['missingRole', action, 403, 'AuthorizationFailed', { requestId: 'r' }]);
    assert.equal(message, text);
    assert.equal(error.refusal.reason, 'MissingRole');
  });

  test('tells a failed sign-in from a failed call', async () => {
    const signIn = new ArmError({ code: 'signInFailed', retryAfterSeconds: 7 }, 'no token');
    const reset = new ArmError({ code: 'transient', retryAfterSeconds: undefined }, 'ECONNRESET');
    const { credentials } = against(signIn, reset);
    const first = await federationErrorOf(credentials.list(identity));
    assert.deepEqual([first.code, first.retryAfterSeconds, first.message], ['signInFailed', 7, 'no token']);
    assert.equal((await federationErrorOf(credentials.list(identity))).code, 'transient');
  });

  test('rejects with the reason of the signal', async () => {
    const reason = new Error('stopped');
    await assert.rejects(against(reason).credentials.list(identity, AbortSignal.abort(reason)), reason);
  });

  test('calls nothing for an id that is not of an identity', async () => {
    const { credentials, calls } = against();
    await assert.rejects(credentials.getIdentity(`${identity}/../x`), TypeError);
    assert.deepEqual(calls(), []);
  });
});
