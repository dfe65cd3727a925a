// Microsoft's client libraries against the emulator on loopback: @azure/identity, @azure/msal-node, @azure/arm-compute.
import assert from 'node:assert/strict';
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { before, test } from 'node:test';
import { SignJWT } from 'jose';
import { createSelfSigned } from '../../azure/core/certificates.ts';
import type { Emulator } from '../../azure/emulator.ts';
import type { ClientCase } from './client.ts';
import { alone, app, armAudience, conformanceState, identityIds, idOf, pool1, subscription, tenant } from './fixtures.ts';
import { emulate } from './harness.ts';
import { managedIdentityCases } from './managed-identity-cases.ts';
import { arm, attachedNames, claimsOf, signIn, tokenOf } from './requests.ts';
import { runClient } from './run-client.ts';

for (const { what, one, clientId, error } of managedIdentityCases) {
  test(`gives a token over lenient paths to ${what}`, async (context) => {
    const emulator = await emulate(context, { state: conformanceState(), paths: 'lenient', running: true });
    const outcome = await runClient(one, { ca: emulator.ca, env: { AZURE_POD_IDENTITY_AUTHORITY_HOST: emulator.urls.imds } });
    if (error !== undefined) return assert.match(String(outcome.error?.message), error);
    assert.equal(outcome.error, null);
    assert.deepEqual([claimsOf(String(outcome.result.token)).appid, claimsOf(String(outcome.result.token)).aud], [clientId, one.resource]);
    const asked = emulator.log.list().filter((entry) => entry.kind === 'request' && entry.status === 200).length;
    if (one.client === 'msal-managed')
      assert.deepEqual([outcome.result.cached, asked], [true, 1], 'its cache finds the token under the resource it was asked for');
  });
}

const subject = 'system:serviceaccount:default:controller';
const issuer = 'https://issuer.example';
const issuerKey = generateKeyPairSync('rsa', { modulusLength: 2048 });
let certified: { cert: string; key: string };
before(async () => {
  certified = await createSelfSigned('the app');
});

type Ways = { pemFile: string; tokenFile: string; assertion: string };
type SignInCase = (ways: Ways, authority: string) => ClientCase;
const base = (authority: string) => ({ authority, tenant, clientId: app.clientId, resource: armAudience });
const signIns: Record<string, SignInCase> = {
  'identity-secret': (_, authority) => ({ client: 'identity-secret', ...base(authority), secret: app.secret }),
  'msal-secret': (_, authority) => ({ client: 'msal-secret', ...base(authority), secret: app.secret }),
  'identity-certificate': ({ pemFile }, authority) => ({ client: 'identity-certificate', ...base(authority), pemFile }),
  'msal-certificate': (_, authority) => ({
    client: 'msal-certificate',
    ...base(authority),
    key: certified.key,
    thumbprint: new X509Certificate(certified.cert).fingerprint256.replaceAll(':', ''),
  }),
  'identity-workload': ({ tokenFile }, authority) => ({ client: 'identity-workload', ...base(authority), tokenFile }),
  'msal-assertion': ({ assertion }, authority) => ({ client: 'msal-assertion', ...base(authority), assertion }),
};

for (const [what, make] of Object.entries(signIns)) {
  test(`signs in ${what} at Entra`, async (context) => {
    const federated = [{ issuer, subject, audience: 'api://AzureADTokenExchange' }];
    const apps = [{ clientId: app.clientId, secrets: [app.secret], certificates: [certified.cert], federated }];
    const issuers = [{ issuer, keys: [issuerKey.publicKey.export({ format: 'pem', type: 'spki' }).toString()] }];
    const emulator = await emulate(context, { state: conformanceState({ apps, issuers }), running: true });
    const folder = mkdtempSync(path.join(tmpdir(), 'azure-conformance-'));
    context.after(() => rmSync(folder, { recursive: true, force: true }));
    const claims = { iss: issuer, sub: subject, aud: 'api://AzureADTokenExchange' };
    const assertion = await new SignJWT(claims)
      .setProtectedHeader({ alg: 'RS256' })
      .setIssuedAt()
      .setExpirationTime('1h')
      .sign(issuerKey.privateKey);
    const ways = { pemFile: path.join(folder, 'app.pem'), tokenFile: path.join(folder, 'token'), assertion };
    writeFileSync(ways.pemFile, certified.key + certified.cert);
    writeFileSync(ways.tokenFile, assertion);
    const outcome = await runClient(make(ways, emulator.urls.entra), { ca: emulator.ca });
    assert.equal(outcome.error, null);
    const token = claimsOf(String(outcome.result.token));
    assert.deepEqual([token.appid, token.tid, token.aud], [app.clientId, tenant, armAudience]);
  });
}

test('gives MSAL and @azure/identity the AADSTS number of a refusal', async (context) => {
  const emulator = await emulate(context, { state: conformanceState(), running: true });
  for (const client of ['identity-secret', 'msal-secret'] as const) {
    const outcome = await runClient({ client, ...base(emulator.urls.entra), secret: 'wrong' }, { ca: emulator.ca });
    assert.match(String(outcome.error?.message), /AADSTS7000215|7000215/);
  }
});

const compute = async (emulator: Awaited<ReturnType<typeof emulate>>) => {
  const token = tokenOf(await signIn(emulator));
  const usual = {
    client: 'arm-compute',
    arm: emulator.urls.arm,
    token,
    subscription,
    group: 'nodes',
    name: 'pool1',
    kind: 'scaleSet',
    type: 'UserAssigned',
  } as const;
  return (one: Partial<Extract<ClientCase, { client: 'arm-compute' }>>) => runClient({ ...usual, ids: {}, ...one }, { ca: emulator.ca });
};

for (const lro of ['202+async+location', '202+async', '200+async', '202+location', '200']) {
  test(`lets arm-compute attach and detach, with operations as ${lro}`, async (context) => {
    const emulator = await emulate(context, { state: conformanceState({ settings: { arm: { lro, operationMs: 60 } } }), running: true });
    const update = await compute(emulator);
    const added = await update({ ids: { [idOf('writer')]: {} } });
    assert.deepEqual(added, { result: { ids: [idOf('reader'), idOf('writer')], type: 'UserAssigned', state: 'Succeeded' }, error: null });
    const removed = await update({ ids: { [idOf('reader')]: null } });
    assert.deepEqual(removed.result.ids, [idOf('writer')]);
    assert.deepEqual(attachedNames(await (await arm(emulator))('GET', pool1)), ['writer']);
  });
}

test('lets arm-compute keep the system-assigned identity of a virtual machine', async (context) => {
  const emulator = await emulate(context, { state: conformanceState({ settings: { arm: { operationMs: 20 } } }), running: true });
  const update = await compute(emulator);
  const machine = { kind: 'virtualMachine', name: 'alone' } as const;
  assert.deepEqual((await update({ ...machine, type: 'SystemAssigned, UserAssigned', ids: { [idOf('writer')]: {} } })).result, {
    ids: [idOf('writer')],
    type: 'SystemAssigned, UserAssigned',
    state: 'Succeeded',
  });
  assert.equal((await update({ ...machine, type: 'SystemAssigned' })).result.type, 'SystemAssigned');
  assert.deepEqual(attachedNames(await (await arm(emulator))('GET', alone)), []);
});

test('gives arm-compute errors: refused, stale etag, failed, canceled', async (context) => {
  const emulator = await emulate(context, { state: conformanceState({ settings: { arm: { operationMs: 20 } } }), running: true });
  const update = await compute(emulator);
  const writer = { ids: { [idOf('writer')]: {} } };
  assert.partialDeepStrictEqual((await update({ ...writer, ifMatch: '"7"' })).error, {
    name: 'RestError',
    statusCode: 412,
    code: 'PreconditionFailed',
  });
  assert.partialDeepStrictEqual((await update({ ids: { [idOf('gone')]: {} } })).error, {
    name: 'RestError',
    statusCode: 400,
    code: 'FailedIdentityOperation',
  });
  emulator.addFault({ fault: 'throttled', method: 'write' });
  assert.partialDeepStrictEqual((await update(writer)).error, { name: 'RestError', statusCode: 429, code: 'OperationNotAllowed' });
  emulator.addFault({ fault: 'operation', ms: 20, end: 'Failed', code: 'Because', message: 'of a test.' });
  assert.match(String((await update(writer)).error?.message), /^The long-running operation has failed\. Because\. of a test\./);
  emulator.addFault({ fault: 'operation', ms: 20, end: 'Canceled' });
  assert.match(String((await update(writer)).error?.message), /canceled/i);
});

test('lets arm-msi create, list in pages, replace and delete federated credentials', async (context) => {
  const settings = { limits: { arm: false }, arm: { credentialPageSize: 2 } };
  const emulator = await emulate(context, { state: conformanceState({ settings }), running: true });
  const credentials = ['one', 'two', 'three'].map((name) => ({ name, issuer, subject: name, audiences: ['api://AzureADTokenExchange'] }));
  const about = { arm: emulator.urls.arm, token: tokenOf(await signIn(emulator)), subscription, group: 'nodes', name: 'writer' };
  const { result, error } = await runClient({ client: 'arm-msi', ...about, credentials }, { ca: emulator.ca });
  assert.equal(error, null);
  const { clientId, principalId } = identityIds.writer;
  assert.deepEqual(result, {
    statuses: [201, 201, 201, 200, 200, 200, 204],
    listed: credentials,
    subjects: ['replaced', 'replaced'],
    ids: { clientId, principalId, tenantId: tenant },
  });
  const names = emulator
    .state()
    .identities.get(idOf('writer').toLowerCase())
    ?.federated.map(({ name }) => name);
  assert.deepEqual(names, ['two', 'three']);
});

for (const [code, make] of [
  [
    'ConcurrentFederatedIdentityCredentialsWritesForSingleManagedIdentity',
    (emulator) => emulator.addFault({ fault: 'concurrent-credentials' }),
  ],
  ['AuthorizationFailed', (emulator) => emulator.patchState({ roles: [] })],
  ['MethodNotAllowed', (emulator) => emulator.patchState({ settings: { arm: { regionsWithoutFederation: ['westeurope'] } } })],
] satisfies [string, (emulator: Emulator) => unknown][])
  test(`gives arm-msi the code ${code.slice(0, 30)} of a refusal`, async (context) => {
    const emulator = await emulate(context, { state: conformanceState(), running: true });
    const about = { arm: emulator.urls.arm, token: tokenOf(await signIn(emulator)), subscription, group: 'nodes', name: 'writer' };
    make(emulator);
    const credentials = [{ name: 'one', issuer, subject, audiences: ['api://AzureADTokenExchange'] }];
    const { error } = await runClient({ client: 'arm-msi', ...about, credentials }, { ca: emulator.ca });
    assert.equal(error?.code, code);
  });
