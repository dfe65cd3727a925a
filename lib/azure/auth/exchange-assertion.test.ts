import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { INetworkModule, NetworkResponse } from '@azure/msal-node';
import { EntraError } from './application-token.ts';
import { exchangeAssertion } from './exchange-assertion.ts';

interface Reply {
  status: number;
  body: object;
  headers?: Record<string, string>;
}

function entra(reply: Reply | undefined) {
  const sent: { url: string; form: URLSearchParams }[] = [];
  const network: INetworkModule = {
    sendGetRequestAsync: (url) => assert.fail(`${url} was asked`),
    async sendPostRequestAsync<T>(url: string, options?: { body?: string }): Promise<NetworkResponse<T>> {
      sent.push({ url, form: new URLSearchParams(options?.body) });
      if (reply === undefined) throw new Error('no network for header.claims.signature');
      return { status: reply.status, headers: reply.headers ?? {}, body: reply.body as T };
    },
  };
  const exchange = (capabilities: string[] = []) =>
    exchangeAssertion({
      authority: 'https://login.test:444',
      tenantId: 'tenant',
      clientId: 'client',
      assertion: 'header.claims.signature',
      scope: 'https://vault.example//.default',
      capabilities,
      network,
    });
  return { sent, exchange };
}

const granted: Reply = {
  status: 200,
  headers: { 'x-ms-request-id': 'request-1' },
  body: { token_type: 'Bearer', expires_in: 86_399, ext_expires_in: 86_399, access_token: 'one' },
};

async function errorOf(promise: Promise<unknown>): Promise<EntraError> {
  const error = await promise.then(
    () => assert.fail('it did not fail'),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof EntraError, String(error));
  return error;
}

test('sends the assertion to the tenant, and returns the request id of Entra', async () => {
  const { sent, exchange } = entra(granted);
  const { accessToken, expiresOn, requestId } = await exchange();
  assert.deepEqual([accessToken, requestId], ['one', 'request-1']);
  assert.ok(expiresOn.getTime() > Date.now() + 86_000_000);
  const [{ url, form }] = sent as [{ url: string; form: URLSearchParams }];
  assert.equal(new URL(url).pathname, '/tenant/oauth2/v2.0/token');
  assert.deepEqual(
    ['grant_type', 'client_id', 'scope', 'client_assertion', 'client_assertion_type'].map((name) => form.get(name)),
    [
      'client_credentials',
      'client',
      'https://vault.example//.default',
      'header.claims.signature',
      'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    ],
  );
});

test('sends capabilities as the claim xms_cc, and no claims without any', async () => {
  const { sent, exchange } = entra(granted);
  await exchange();
  assert.equal(sent[0]?.form.has('claims'), false);
  await exchange(['cp1']);
  const claims = JSON.parse(sent[1]?.form.get('claims') ?? '') as { access_token: unknown };
  assert.deepEqual(claims.access_token, { xms_cc: { values: ['cp1'] } });
});

test('reports the AADSTS number, the code, the request id and the pause of an error', async () => {
  const { exchange } = entra({
    status: 400,
    headers: { 'retry-after': '7' },
    body: { error: 'invalid_request', error_description: 'AADSTS700213: No matching', error_codes: [700213], trace_id: 'trace-1' },
  });
  const { details, message } = await errorOf(exchange());
  assert.deepEqual(details, { status: 400, aadsts: 700213, error: 'invalid_request', requestId: 'trace-1', retryAfterSeconds: 7 });
  assert.match(message, /AADSTS700213: No matching/);
});

test('reads the AADSTS number of the text where the list of codes is missing', async () => {
  const { exchange } = entra({ status: 400, body: { error: 'invalid_client', error_description: 'AADSTS7002138: differs in case' } });
  assert.equal((await errorOf(exchange())).details.aadsts, 7002138);
});

test('reports no status where no response came, and nothing of the assertion', async () => {
  const { exchange } = entra(undefined);
  const { details, message } = await errorOf(exchange());
  assert.equal(details.status, undefined);
  assert.doesNotMatch(message, /header\.claims/);
});
