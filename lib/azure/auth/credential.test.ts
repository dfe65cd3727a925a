import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import type { INetworkModule, NetworkResponse } from '@azure/msal-node';
import { systemClock } from '../../../common/clock.ts';
import { createFakeClock } from '../../../common/testing/fake-clock.ts';
import { SignInError } from './access-token.ts';
import { createCredential } from './credential.ts';
import type { SignIn } from './sign-in.ts';

const scope = 'https://management.azure.com/.default';
const secretSignIn: SignIn = { kind: 'secret', tenantId: 'tenant', clientId: 'client', secret: { text: 'hunter2' } };

interface Sent {
  url: string;
  form: URLSearchParams;
}
type Reply = { status: number; body: object; headers?: Record<string, string> };
const granted = (token: string): Reply => ({
  status: 200,
  body: { token_type: 'Bearer', expires_in: 3599, ext_expires_in: 3599, access_token: token },
});

/** Entra without a network, as MSAL calls it. */
function entra(...replies: Reply[]) {
  const sent: Sent[] = [];
  const network: INetworkModule = {
    sendGetRequestAsync: (url) => assert.fail(`no discovery is needed, but ${url} was asked`),
    async sendPostRequestAsync<T>(url: string, options?: { body?: string }): Promise<NetworkResponse<T>> {
      sent.push({ url, form: new URLSearchParams(options?.body) });
      const reply = replies.shift();
      assert.ok(reply, 'an unexpected request');
      return { status: reply.status, headers: reply.headers ?? {}, body: reply.body as T };
    },
  };
  const clock = createFakeClock();
  const credential = (signIn: SignIn | (() => SignIn)) =>
    createCredential(typeof signIn === 'function' ? signIn : () => signIn, {
      cloud: { authority: 'https://login.test:444' },
      network,
      imdsEndpoint: 'http://127.0.0.1:9',
      userAgent: 'test',
      clock,
    });
  return { credential, sent, pass: (ms: number) => clock.advance(ms) };
}

const errorOf = async (promise: Promise<unknown>): Promise<SignInError> => {
  const error = await promise.then(
    () => assert.fail('it did not fail'),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof SignInError, String(error));
  return error;
};

test('sends the secret to the tenant at the given authority, without discovery', async () => {
  const { credential, sent } = entra(granted('one'));
  const { token, expiresOnTimestamp } = await credential(secretSignIn).getToken([scope]);
  assert.equal(token, 'one');
  assert.ok(expiresOnTimestamp > Date.now());
  assert.match(sent[0]?.url ?? '', /^https:\/\/login\.test:444\/tenant\/oauth2\/v2\.0\/token/);
  assert.equal(sent[0]?.form.get('client_secret'), 'hunter2');
  assert.equal(sent[0]?.form.get('scope'), scope);
});

test('shares one sign-in between callers at the same time', async () => {
  const { credential, sent } = entra(granted('one'));
  const shared = credential(secretSignIn);
  const tokens = await Promise.all([shared.getToken(scope), shared.getToken([scope]), shared.getToken(scope)]);
  assert.deepEqual(
    tokens.map(({ token }) => token),
    ['one', 'one', 'one'],
  );
  assert.equal(sent.length, 1);
});

test('chooses how to sign in each time, and rejects when that is impossible', async () => {
  const { credential, sent, pass } = entra(granted('one'), granted('two'));
  let choose: () => SignIn = () => secretSignIn;
  const { getToken } = credential(() => choose());
  await getToken(scope);
  choose = () => {
    throw new Error('azure.json is not JSON');
  };
  assert.equal((await errorOf(getToken(scope))).message, 'azure.json is not JSON');
  await pass(1000);
  choose = () => ({ kind: 'secret', tenantId: 'tenant', clientId: 'another', secret: { text: 'rotated' } });
  await getToken(scope);
  assert.deepEqual(
    sent.map(({ form }) => `${form.get('client_id')} ${form.get('client_secret')}`),
    ['client hunter2', 'another rotated'],
  );
});

test('reads the files of a sign-in again each time', async (t) => {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'sign-in-'));
  t.after(() => rm(folder, { recursive: true }));
  const file = path.join(folder, 'token');
  const { credential, sent } = entra(granted('one'), granted('two'));
  const federated = credential({ kind: 'workloadIdentity', tenantId: 'tenant', clientId: 'client', tokenFile: file });
  for (const assertion of ['first', 'second']) {
    await writeFile(file, `${assertion}\n`);
    await federated.getToken(scope);
  }
  assert.deepEqual(
    sent.map(({ form }) => form.get('client_assertion')),
    ['first', 'second'],
  );
  await rm(file);
  assert.match((await errorOf(federated.getToken(scope))).message, /token cannot be read \(ENOENT\)/);
});

test('rejects with the text of Entra without the secret, and backs off', async () => {
  const refused: Reply = {
    status: 401,
    body: { error: 'invalid_client', error_description: 'AADSTS7000215: Invalid client secret hunter2.' },
  };
  const { credential, sent, pass } = entra(refused, refused, granted('one'));
  const { getToken } = credential(secretSignIn);
  const error = await errorOf(getToken(scope));
  assert.match(error.message, /AADSTS7000215/);
  assert.doesNotMatch(error.message + String(error.stack), /hunter2/);
  assert.equal((await errorOf(getToken(scope))).retryAfterSeconds, 1);
  await pass(1000);
  await errorOf(getToken(scope));
  await pass(1000);
  assert.equal((await errorOf(getToken(scope))).retryAfterSeconds, 1);
  assert.equal(sent.length, 2);
  await pass(1000);
  assert.equal((await getToken(scope)).token, 'one');
});

test('signs in 1 s after a 503 of Entra, although MSAL would fail for a minute', async () => {
  const { credential, pass } = entra({ status: 503, body: { error: 'temporarily_unavailable' } }, granted('one'));
  const { getToken } = credential(secretSignIn);
  await errorOf(getToken(scope));
  await pass(1000);
  assert.equal((await getToken(scope)).token, 'one');
});

test('gets a token of a managed identity from IMDS, and rejects with its error', async (t) => {
  const urls: string[] = [];
  const server = createServer((request, response) => {
    urls.push(`${request.headers.metadata} ${request.url}`);
    const good = urls.length === 1;
    response.writeHead(good ? 200 : 400, { 'content-type': 'application/json' });
    response.end(
      JSON.stringify(
        good
          ? { access_token: 'node', expires_on: String(Math.floor(Date.now() / 1000) + 86_400), resource: 'https://management.azure.com' }
          : { error: 'invalid_request', error_description: 'Identity not found' },
      ),
    );
  }).listen(0, '127.0.0.1');
  t.after(() => new Promise((resolve) => server.close(resolve)));
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  const { getToken } = createCredential(() => ({ kind: 'managedIdentity', clientId: 'kubelet' }), {
    cloud: { authority: '' },
    network: {} as INetworkModule,
    imdsEndpoint: `http://127.0.0.1:${port}`,
    userAgent: 'test',
    clock: systemClock,
  });
  const { token, expiresOnTimestamp, refreshAfterTimestamp } = await getToken(scope);
  assert.equal(token, 'node');
  assert.ok(refreshAfterTimestamp !== undefined && refreshAfterTimestamp < expiresOnTimestamp - 36_000_000);
  const resource = encodeURIComponent('https://management.azure.com');
  assert.equal(urls[0], `true /metadata/identity/oauth2/token?api-version=2018-02-01&resource=${resource}&client_id=kubelet`);
  assert.match((await errorOf(getToken(scope))).message, /managed identity kubelet \(HTTP 400\): Identity not found/);
});

test('names workload identity where IMDS gives no answer, as restricted by AKS', async () => {
  const { getToken } = createCredential(() => ({ kind: 'managedIdentity', clientId: 'kubelet' }), {
    cloud: { authority: '' },
    network: {} as INetworkModule,
    // The port of nobody.
    imdsEndpoint: 'http://127.0.0.1:9',
    userAgent: 'test',
    clock: systemClock,
  });
  assert.match(
    (await errorOf(getToken(scope))).message,
    /IMDS gave no answer for managed identity kubelet .*adminsecret\.workloadIdentity/,
  );
});
