// Federated identities against the emulator's Entra: the assertion comes from a file, the requests are MSAL's own, over TLS.
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { decodeJwt, SignJWT } from 'jose';
import type { IdentityRow } from '../../../api/broker.ts';
import type { AzureIdentitySpec } from '../../../api/kinds.ts';
import { BrokerError } from '../../../broker/error.ts';
import { createAssertionSource } from '../../../broker/federation/assertion.ts';
import { createFederatedMinter } from '../../../broker/federation/minter.ts';
import { createProver } from '../../../broker/federation/proof.ts';
import { systemClock } from '../../../common/clock.ts';
import { msalNetwork } from '../../../lib/azure/auth/msal-network.ts';
import { scopeOf } from '../../../lib/azure/auth/scope.ts';
import { trustAlso } from '../../../lib/azure/trusted-certificates.ts';
import type { FederationRecord } from '../../../lib/identities/federation/record.ts';
import type { ListedRecord } from '../../../lib/identities/federation/records.ts';
import { indexFederationRecords } from '../../../lib/identities/federation/records.ts';
import { identityOf } from '../../../lib/identities/identity.ts';
import { fakeInformer } from '../../../lib/identities/testing/informers.ts';
import { silentLogger } from '../../../lib/log.ts';
import { app, armAudience, clientIds, identityIds, smallAzure, tenant } from '../azure/fixtures.ts';
import type { TestContext } from '../azure/harness.ts';
import { emulate } from '../azure/harness.ts';

const trust = {
  issuer: 'https://issuer.example/cluster/',
  subject: 'system:serviceaccount:aad-pod-identity:aad-pod-identity-broker',
  audience: 'api://AzureADTokenExchange',
};
const credential = { name: 'cluster', issuer: trust.issuer, subject: trust.subject, audiences: [trust.audience] };
const key = generateKeyPairSync('rsa', { modulusLength: 2048 });
const pem = key.publicKey.export({ format: 'pem', type: 'spki' }).toString();
const vault = 'https://vault.azure.net';

interface Options {
  /** Credentials of the identity. */
  federated?: readonly object[];
  azure?: Record<string, unknown>;
  settings?: Record<string, unknown>;
}

async function start(t: TestContext, { federated = [credential], azure = {}, settings = {} }: Options = {}) {
  const identities = [identityIds.reader, { ...identityIds.writer, federated }];
  const state = smallAzure({
    identities,
    issuers: [{ issuer: trust.issuer, keys: [pem] }],
    settings: { limits: { arm: false }, ...settings },
    ...azure,
  });
  const emulator = await emulate(t, { state, running: true });
  const folder = await mkdtemp(path.join(os.tmpdir(), 'assertion-'));
  t.after(() => rm(folder, { recursive: true }));
  const file = path.join(folder, 'token');
  const seconds = Math.floor(Date.now() / 1000);
  const claims = { iss: trust.issuer, sub: trust.subject, aud: [trust.audience], iat: seconds, nbf: seconds, exp: seconds + 3600 };
  await writeFile(file, await new SignJWT(claims).setProtectedHeader({ alg: 'RS256', kid: 'one' }).sign(key.privateKey));

  const informer = fakeInformer<ListedRecord>();
  const records = indexFederationRecords(informer);
  const record = (changes: Partial<FederationRecord> = {}) =>
    informer.put('aad/record', {
      resourceVersion: '1',
      identity: identityIds.writer.id.toLowerCase(),
      clientId: clientIds.writer,
      tenantId: tenant,
      objectId: identityIds.writer.principalId,
      ...trust,
      credential: { name: 'cluster', owned: true, createdAt: '2025-01-01T00:00:00Z' },
      provenAt: '2025-01-01T00:00:10Z',
      former: [],
      unusedSince: undefined,
      ...changes,
    });
  record();
  trustAlso(emulator.ca);
  const network = msalNetwork();
  const assertions = createAssertionSource({ file, clock: systemClock });
  const authority = emulator.urls.entra;
  const reported: string[] = [];
  const spec: AzureIdentitySpec = { type: 0, resourceID: identityIds.writer.id };
  const minter = createFederatedMinter({
    log: silentLogger,
    events: { record: () => undefined },
    identityOf: () => identityOf({ metadata: { namespace: 'team', name: 'i' }, spec }),
    rules: { authority, managed: false, records, isAllowed: () => true, isAllowedAsClaimed: () => false },
    assertions,
    network,
    clock: systemClock,
    random: Math.random,
    metrics: { countExchange: () => undefined, countToken: () => undefined },
    onUnknown: (podKey, identity) => reported.push(`${podKey} ${identity}`),
  });
  const row: IdentityRow = {
    name: 'i',
    namespace: 'team',
    binding: 'team/b',
    type: 0,
    source: 'broker',
    clientID: clientIds.writer,
    resourceID: identityIds.writer.id,
    state: 'Assigned',
  };
  const pod = { namespace: 'team', name: 'app', uid: 'uid' };
  const mint = (resource = vault) =>
    minter({
      pod,
      caller: { ...pod, serviceAccount: 'default' },
      row,
      resource,
      scope: scopeOf(resource) ?? assert.fail(`${resource} is no resource`),
      capabilities: ['cp1'],
      refresh: false,
      admit: async () => undefined,
    });
  const prove = createProver({ authority, assertions, network, onResult: () => undefined });
  return {
    emulator,
    record,
    spec,
    reported,
    mint,
    prove: (clientId = clientIds.writer) => prove({ tenantId: tenant, clientId, resource: armAudience }),
    /** The error of a mint for a resource that was not asked for yet. */
    async errorOf(resource: string): Promise<BrokerError> {
      const error = await mint(resource).then(
        () => assert.fail('it got a token'),
        (thrown: unknown) => thrown,
      );
      assert.ok(error instanceof BrokerError, String(error));
      return error;
    },
  };
}

test('mints the token of a managed identity for a day, in the shape of IMDS', async (t) => {
  const { mint } = await start(t);
  const answer = await mint();
  const claims = decodeJwt(answer.access_token);
  assert.deepEqual(
    [claims.appid ?? claims.azp, claims.oid, claims.tid, claims.aud],
    [clientIds.writer, identityIds.writer.principalId, tenant, vault],
  );
  assert.equal('xms_az_rid' in claims, false);
  assert.ok(Math.abs(Number(answer.expires_in) - 86_400) <= 10);
  assert.equal(answer.client_id, clientIds.writer);
});

for (const [what, resource, aud] of [
  ['a slash at the end', 'https://management.azure.com/', 'https://management.azure.com/'],
  ['a scope', 'https://management.azure.com/.default', 'https://management.azure.com'],
  ['a scope with two slashes', 'https://management.azure.com//.default', 'https://management.azure.com/'],
] as const) {
  test(`mints for a resource with ${what}`, async (t) => {
    const { mint } = await start(t);
    const answer = await mint(resource);
    assert.deepEqual([decodeJwt(answer.access_token).aud, answer.resource], [aud, resource]);
  });
}

test('mints the token of an application of type 3', async (t) => {
  const apps = [{ clientId: app.clientId, federated: [{ issuer: trust.issuer, subject: trust.subject, audience: trust.audience }] }];
  const { mint, spec } = await start(t, { azure: { apps } });
  Object.assign(spec, { type: 3, clientID: app.clientId, tenantID: 'contoso.example' });
  const answer = await mint();
  const claims = decodeJwt(answer.access_token);
  assert.equal(claims.appid ?? claims.azp, app.clientId);
  assert.ok(Number(answer.expires_in) <= 3600);
});

test('answers each error of Entra with the status of the table', async (t) => {
  const { emulator, errorOf, record } = await start(t);
  record({ credential: { name: 'cluster', owned: false, createdAt: '2025-01-01T00:00:00Z' } });
  for (const [status, codes] of [
    [400, [70021, 700211, 700212, 700213, 7002138, 700016, 90002, 500011, 7000112, 53003, 1002012, 70011]],
    [503, [90061, 90033, 90055]],
  ] as const)
    for (const aadsts of codes) {
      emulator.addFault({ fault: 'entra-error', aadsts });
      const error = await errorOf(`https://of-${aadsts}.example`);
      assert.deepEqual([error.code, error.status], ['token_failed', status], String(aadsts));
      assert.match(error.message, new RegExp(`AADSTS${aadsts}`));
      if (status === 400) assert.equal(typeof error.entraError, 'string');
    }
});

test('gets the token within one request while replicas of Entra learn of a credential', async (t) => {
  const settings = { entra: { credentialPropagationMs: { min: 500, max: 2_000 }, replicas: 3 } };
  const { emulator, mint, record, reported } = await start(t, { federated: [], settings });
  record({ credential: { name: 'cluster', owned: true, createdAt: new Date().toISOString() } });
  await emulator.act({ do: 'put-credential', identity: identityIds.writer.id, ...credential });
  await mint();
  assert.deepEqual(reported, []);
});

test('reports a credential that was deleted by hand, and serves the cached token', async (t) => {
  const { emulator, mint, errorOf, reported } = await start(t);
  const { access_token: cached } = await mint();
  await emulator.act({ do: 'delete-credential', identity: identityIds.writer.id, name: 'cluster' });
  const error = await errorOf('https://management.azure.com');
  assert.deepEqual([error.status, reported], [503, ['team/app team/i']]);
  assert.equal((await mint()).access_token, cached);
});

test('reports an identity that was made anew, and mints for its new client id', async (t) => {
  const { emulator, mint, errorOf, reported, record } = await start(t);
  await emulator.act({ do: 'recreate-identity', identity: identityIds.writer.id });
  const error = await errorOf(vault);
  assert.deepEqual([error.status, reported], [400, ['team/app team/i']]);
  assert.match(error.message, /AADSTS700016/);
  const anew = { ...identityIds.writer, clientId: clientIds.third, federated: [credential] };
  emulator.patchState({ identities: [identityIds.reader, anew] });
  record({ clientId: clientIds.third });
  assert.equal((await mint()).client_id, clientIds.third);
});

test('says that the subject of a credential differs in case only', async (t) => {
  const { errorOf } = await start(t, { federated: [{ ...credential, subject: trust.subject.toUpperCase() }] });
  const error = await errorOf(vault);
  assert.equal(error.status, 400);
  assert.match(error.message, /differs in case only.*AADSTS7002138/);
});

test('reads the assertion again and answers 503 where the clocks differ', async (t) => {
  const { emulator, errorOf } = await start(t);
  emulator.addFault({ fault: 'clock-skew', ms: 2 * 3_600_000, count: 10 });
  const error = await errorOf(vault);
  assert.equal(error.status, 503);
  assert.match(error.message, /AADSTS700024.*|compare the clocks/);
  const asked = emulator.log.list().filter((entry) => entry.kind === 'request' && entry.service === 'entra');
  assert.equal(asked.length, 2);
});

test('answers 400 where the tenant of an identity does not exist', async (t) => {
  const { errorOf, record } = await start(t);
  record({ tenantId: '22222222-2222-4222-8222-222222222222' });
  const error = await errorOf(vault);
  assert.equal(error.status, 400);
  assert.match(error.message, /AADSTS90002/);
});

test('asks Entra once for fifty requests, and shows the assertion to nobody else', async (t) => {
  const { emulator, mint } = await start(t);
  await Promise.all(Array.from({ length: 50 }, () => mint()));
  const asked = emulator.log.list().filter((entry) => entry.kind === 'request');
  assert.deepEqual(
    asked.map((entry) => [entry.service, entry.method]),
    [['entra', 'POST']],
  );
});

test('proves a credential that Entra knows, and no other', async (t) => {
  const { emulator, prove } = await start(t);
  assert.deepEqual(await prove(), { outcome: 'proven' });
  for (const aadsts of [53003, 500011]) {
    emulator.addFault({ fault: 'entra-error', aadsts });
    assert.deepEqual(await prove(), { outcome: 'proven' }, String(aadsts));
  }
  const failed = await prove(clientIds.reader);
  assert.ok(failed.outcome === 'failed' && failed.aadsts === 70021 && !failed.retryable);
});
