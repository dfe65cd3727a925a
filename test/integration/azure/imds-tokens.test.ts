// IMDS: default identity, tokens, limits, other paths, log. Rows I9 to I16 of docs/emulator.md.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { JSONWebKeySet } from 'jose';
import { createLocalJWKSet, jwtVerify } from 'jose';
import { fingerprint } from '../../azure/core/jwt.ts';
import { parseJson } from '../../azure/core/messages.ts';
import { apiVersions } from '../../azure/imds/versions.ts';
import { armAudience, clientIds, flexVm, idOf, pool1, smallAzure, tenant } from './fixtures.ts';
import { emulate } from './harness.ts';
import { arm, call, claimsOf, errorOf, getMetadata, identityPatch, imds, tokenOf, tokenPath } from './requests.ts';

const metadata = { metadata: 'true' };

test('I9: answers for the system identity, else the only other, else an error', async (context) => {
  const emulator = await emulate(context);
  const attach = (type: string, ids: string[]) =>
    emulator.patchState({
      scaleSets: [{ name: 'Pool1', instances: 1, identity: { type, ...(ids.length > 0 ? { ids } : {}) } }],
      virtualMachines: [],
    });
  const ask = () => imds(emulator.urls.imds);
  attach('SystemAssigned, UserAssigned', ['reader', 'writer']);
  assert.equal(claimsOf(tokenOf(await ask())).xms_mirid, `${pool1}/virtualMachines/0`);
  attach('UserAssigned', ['writer']);
  assert.equal(claimsOf(tokenOf(await ask())).appid, clientIds.writer);
  attach('UserAssigned', ['reader', 'writer']);
  const several = 'Multiple user assigned identities exist, please specify the clientId / resourceId of the identity in the token request';
  assert.deepEqual(errorOf(await ask()), { status: 400, code: 'invalid_request', message: several });
  attach('None', []);
  assert.deepEqual(errorOf(await ask()), { status: 400, code: 'invalid_request', message: 'Identity not found' });
});

test('I10: does not find an identity that is not attached or was recreated', async (context) => {
  const emulator = await emulate(context);
  const call = await arm(emulator);
  const find = async (name: 'reader' | 'writer') => {
    const identity = emulator.state().identities.get(idOf(name).toLowerCase());
    return errorOf(await imds(emulator.urls.imds, { client_id: identity?.clientId ?? '' }));
  };
  assert.deepEqual(await find('writer'), { status: 400, code: 'invalid_request', message: 'Identity not found' });
  await emulator.act({ do: 'recreate-identity', identity: idOf('reader') });
  assert.equal((await find('reader')).message, 'Identity not found');
  assert.equal(errorOf(await imds(emulator.urls.imds)).message, 'Identity not found', 'nor is it the default');
  // Adding what is there already changes nothing; removing it first does.
  await call('PATCH', pool1, identityPatch('UserAssigned', ['reader', 'third']));
  emulator.clock.advance(3000);
  assert.equal((await find('reader')).message, 'Identity not found');
  await call('PATCH', pool1, identityPatch('UserAssigned', [], ['reader']));
  emulator.clock.advance(3000);
  await call('PATCH', pool1, identityPatch('UserAssigned', ['reader']));
  emulator.clock.advance(3000);
  assert.equal((await find('reader')).status, 200);
});

test('I11: answers strings, the resource as it was sent, and the name of IMDS', async (context) => {
  const emulator = await emulate(context);
  for (const resource of ['https://vault.azure.net', 'https://vault.azure.net/', 'api://x y%20z', 'https://management.azure.com//']) {
    const reply = await imds(emulator.urls.imds, { resource });
    assert.equal(reply.json.resource, resource);
    assert.ok(Object.values(reply.json).every((value) => typeof value === 'string'));
    assert.match(reply.headers.server ?? '', /^IMDS\//);
    assert.equal(reply.headers['content-type'], 'application/json; charset=utf-8');
    assert.equal(Number(reply.json.expires_on), Math.floor(emulator.clock.now() / 1000) + 86_400);
    assert.deepEqual(
      [reply.json.expires_in, reply.json.ext_expires_in, reply.json.token_type, reply.json.refresh_token],
      ['86400', '86400', 'Bearer', ''],
    );
    assert.equal(reply.json.client_id, clientIds.reader);
  }
  emulator.patchState({ settings: { imds: { fields: ['refresh_in'] } } });
  const sparse = await imds(emulator.urls.imds, { msi_res_id: idOf('reader') });
  assert.deepEqual(Object.keys(sparse.json).sort(), [
    'access_token',
    'expires_in',
    'expires_on',
    'msi_res_id',
    'not_before',
    'refresh_in',
    'resource',
    'token_type',
  ]);
});

test('I12: signs JWTs with the claims of a managed identity', async (context) => {
  const emulator = await emulate(context, { running: true });
  const token = tokenOf(await imds(emulator.urls.imds, { resource: 'api://mine/' }));
  const keys = await call(emulator.urls.entra, `/${tenant}/discovery/keys`, { ca: emulator.ca });
  const jwks: JSONWebKeySet = JSON.parse(keys.text);
  const { payload, protectedHeader } = await jwtVerify(token, createLocalJWKSet(jwks), {
    issuer: `https://sts.windows.net/${tenant}/`,
    audience: 'api://mine/',
  });
  const reader = emulator.state().identities.get(idOf('reader').toLowerCase());
  assert.equal(protectedHeader.alg, 'RS256');
  assert.deepEqual(
    [payload.tid, payload.oid, payload.appid, payload.xms_mirid],
    [tenant, reader?.principalId, clientIds.reader, idOf('reader')],
  );
  assert.equal((payload.exp ?? 0) - (payload.iat ?? 0), 86_400);
});

test('I12: repeats a token until its refresh age, not with bypass_cache', async (context) => {
  const emulator = await emulate(context);
  const ask = async (query = {}) => tokenOf(await imds(emulator.urls.imds, query));
  const first = await ask();
  emulator.clock.advance(12 * 3600_000 - 1);
  const later = await imds(emulator.urls.imds);
  assert.equal(tokenOf(later), first);
  assert.equal(later.json.expires_in, '43200', 'counted anew for every answer');
  assert.notEqual(await ask({ resource: 'api://other' }), first);
  const bypassed = await ask({ bypass_cache: 'true' });
  assert.notEqual(bypassed, first);
  assert.equal(await ask(), bypassed);
  emulator.clock.advance(12 * 3600_000);
  assert.notEqual(await ask(), bypassed);
});

test('I13: answers 429 above 20 token requests a second or 5 at once', async (context) => {
  const emulator = await emulate(context);
  const second = await emulator.addImds('Pool1/1');
  const answers = [];
  for (let count = 0; count < 21; count += 1) answers.push(await imds(emulator.urls.imds));
  assert.deepEqual(
    answers.map((reply) => reply.status),
    [...Array(20).fill(200), 429],
  );
  assert.deepEqual(errorOf(answers[20] ?? assert.fail()), {
    status: 429,
    code: 'invalid_request',
    message: 'Temporarily throttled, too many requests',
  });
  assert.equal(answers[20]?.headers['retry-after'], undefined);
  assert.equal((await imds(second)).status, 200, 'each machine has its own budget');
  emulator.clock.advance(50);
  assert.equal((await imds(emulator.urls.imds)).status, 200);
  const versions = [];
  for (let count = 0; count < 6; count += 1) versions.push((await getMetadata(emulator.urls.imds, '/metadata/versions')).status);
  assert.deepEqual(versions, [200, 200, 200, 200, 200, 429]);

  emulator.clock.advance(1000);
  emulator.addFault({ fault: 'latency', service: 'imds', ms: 1000 });
  const arrived = emulator.log.waitFor((entry) => entry.kind === 'request' && entry.query.mark === '6');
  const pending = Array.from({ length: 7 }, (_, index) => imds(emulator.urls.imds, { mark: String(index) }));
  await arrived;
  emulator.clock.advance(1000);
  const statuses = (await Promise.all(pending)).map((reply) => reply.status).sort();
  assert.deepEqual(statuses, [200, 200, 200, 200, 200, 429, 429]);
});

test('I14: answers 405 to other methods on every route', async (context) => {
  const { urls } = await emulate(context);
  for (const path of [
    tokenPath,
    '/metadata/versions',
    '/metadata/instance',
    '/metadata/identity/info',
    '/metadata/attested/document',
    '/metadata/loadbalancer',
  ]) {
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH']) {
      const reply = await call(urls.imds, `${path}?api-version=2021-02-01`, { method, headers: metadata });
      assert.deepEqual([reply.status, reply.json.error], [405, 'method_not_allowed'], `${method} ${path}`);
    }
  }
});

test('I17: approves scheduled events, and no others', async (context) => {
  const { urls } = await emulate(context, { state: smallAzure({ settings: { imds: { scheduledEvents: ['e-1'] } } }) });
  const path = '/metadata/scheduledevents?api-version=2020-07-01';
  const approve = async (EventId: string, headers: Record<string, string> = metadata) =>
    (await call(urls.imds, path, { method: 'POST', headers, body: JSON.stringify({ StartRequests: [{ EventId }] }) })).status;
  assert.match((await getMetadata(urls.imds, path)).text, /"EventId":"e-1"/);
  assert.deepEqual([await approve('e-1'), await approve('e-2'), await approve('e-1', {})], [200, 400, 400]);
});

test('I17: gives collateral with its certificate chains, and quotes', async (context) => {
  const { urls } = await emulate(context);
  const amd = await getMetadata(urls.imds, '/metadata/THIM/amd/certification');
  assert.deepEqual(Object.keys(amd.json), ['vcekCert', 'tcbm', 'certificateChain', 'cacheControl']);
  const pckcert = '/metadata/thim/sgx/certification/v4/pckcert';
  const platform = 'qeid=0a&encrypted_ppid=ff&cpusvn=01&pcesvn=0b00&pceid=0000&api-version=2021-07-22-preview';
  const intel = await getMetadata(urls.imds, `${pckcert}?${platform}`);
  assert.match(intel.text, /^-----BEGIN CERTIFICATE-----/);
  assert.deepEqual([intel.headers['sgx-tcbm'], intel.status], ['010b00', 200]);
  assert.equal((await getMetadata(urls.imds, pckcert)).status, 400);
  assert.equal((await getMetadata(urls.imds, '/metadata/THIM/nothing')).status, 404);
  const quote = await call(urls.imds, '/acc/tdquote', { method: 'POST', body: '{"report":"AA=="}' });
  assert.equal(typeof quote.json.quote, 'string');
});

test('I14: answers the other paths that clients read', async (context) => {
  const emulator = await emulate(context, { state: smallAzure({ settings: { limits: { imds: false } } }) });
  const { imds: base } = emulator.urls;
  const version = 'api-version=2021-02-01';
  assert.deepEqual((await getMetadata(base, '/metadata/versions')).json, { apiVersions });
  const { compute } = (await getMetadata(base, `/metadata/instance?${version}`)).json;
  assert.deepEqual((await getMetadata(base, `/metadata/instance/compute?${version}`)).json, compute);
  const leaf = await getMetadata(base, `/metadata/instance/compute/location?${version}&format=text`);
  assert.deepEqual([leaf.text, leaf.headers['content-type']], ['westeurope', 'text/plain; charset=utf-8']);
  assert.equal((await getMetadata(base, `/metadata/instance/compute/location?${version}`)).status, 400, 'a leaf needs format=text');
  assert.equal(
    (await getMetadata(base, `/metadata/instance/compute/resourceId?${version}&format=text`)).text,
    `${pool1}/virtualMachines/0`,
  );
  assert.equal(
    (await getMetadata(base, `/metadata/instance/network/interface/0/ipv4/ipAddress/0/privateIpAddress?${version}&format=text`)).text,
    '10.0.0.4',
  );
  assert.equal((await getMetadata(base, `/metadata/instance/compute/nothing?${version}`)).status, 404);
  assert.equal((await getMetadata(base, '/metadata/instance')).status, 400, 'api-version is needed');
  assert.deepEqual((await getMetadata(base, `/metadata/identity/info?${version}`)).json, { tenantId: tenant });
  const attested = await getMetadata(base, `/metadata/attested/document?${version}&nonce=1234567890`);
  assert.equal(attested.json.encoding, 'pkcs7');
  assert.ok(Buffer.from(String(attested.json.signature), 'base64').toString('latin1').includes('"nonce":"1234567890"'));
  assert.equal((await getMetadata(base, `/metadata/loadbalancer?${version}`)).status, 404);
  assert.deepEqual((await getMetadata(base, `/metadata/scheduledevents?${version}`)).json, { DocumentIncarnation: 1, Events: [] });
  const flexible = await emulator.addImds('flex1-a');
  const machine = parseJson((await getMetadata(flexible, `/metadata/instance/compute?${version}`)).text);
  assert.partialDeepStrictEqual(machine, { name: 'flex1-a', vmScaleSetName: 'flex1', resourceId: flexVm });
});

test('I15: logs every request, with tokens as fingerprints only', async (context) => {
  const emulator = await emulate(context);
  const token = tokenOf(await imds(emulator.urls.imds, { client_id: clientIds.reader }, { ...metadata, 'x-mark': '1' }));
  await imds(emulator.urls.imds, { client_id: clientIds.writer });
  const [first, , second] = emulator.log.list();
  assert.partialDeepStrictEqual(first, {
    kind: 'request',
    seq: 1,
    service: 'imds',
    vm: `${pool1}/virtualMachines/0`,
    method: 'GET',
    path: tokenPath,
    query: { resource: armAudience, client_id: clientIds.reader },
    headers: { 'x-mark': '1' },
    at: emulator.clock.now(),
    status: 200,
    token: fingerprint(token),
  });
  assert.partialDeepStrictEqual(second, { kind: 'request', status: 400, error: 'invalid_request: Identity not found', token: null });
  assert.ok(!JSON.stringify(emulator.log.list()).includes(token));
});

test('I16: answers 404 to a trailing or doubled slash unless paths are lenient', async (context) => {
  const strict = await emulate(context);
  const lenient = await emulate(context, { paths: 'lenient' });
  const query = `?api-version=2018-02-01&resource=${encodeURIComponent(armAudience)}`;
  for (const path of [`${tokenPath}/`, `/${tokenPath}`, `/${tokenPath}/`, '/metadata//identity/oauth2/token']) {
    assert.equal((await getMetadata(strict.urls.imds, path + query)).status, 404, path);
    assert.equal((await getMetadata(lenient.urls.imds, path + query)).status, 200, path);
  }
  for (const base of [strict.urls.imds, lenient.urls.imds])
    assert.equal((await getMetadata(base, `/Metadata/Identity/OAuth2/Token${query}`)).status, 200);
});
