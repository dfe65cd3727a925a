// IMDS: machines, routes, headers, parameters, selectors. Rows I1 to I8 of docs/emulator.md.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { alone, armAudience, clientIds, idOf, pool1, smallAzure, tenant } from './fixtures.ts';
import { emulate } from './harness.ts';
import { arm, claimsOf, errorOf, getMetadata, identityPatch, imds, tokenOf, tokenPath } from './requests.ts';

const metadata = { metadata: 'true' };

test("I1: knows an identity after the propagation delay from the operation's end", async (context) => {
  const emulator = await emulate(context, { state: smallAzure({ settings: { propagationMs: 5000 } }) });
  const call = await arm(emulator);
  const ask = async () => errorOf(await imds(emulator.urls.imds, { client_id: clientIds.writer }));
  assert.equal((await call('PATCH', pool1, identityPatch('UserAssigned', ['writer']))).status, 202);
  emulator.clock.advance(3000);
  assert.equal((await ask()).message, 'Identity not found');
  emulator.clock.advance(4999);
  assert.equal((await ask()).message, 'Identity not found');
  emulator.clock.advance(1);
  assert.equal((await ask()).status, 200);
  // Taking it away propagates as slowly.
  await call('PATCH', pool1, identityPatch('UserAssigned', [], ['writer']));
  emulator.clock.advance(3000 + 4999);
  assert.equal((await ask()).status, 200);
  emulator.clock.advance(1);
  assert.equal((await ask()).message, 'Identity not found');
});

test('I1: gives each machine an IMDS of its own', async (context) => {
  const emulator = await emulate(context);
  const [second, single] = await Promise.all([emulator.addImds('Pool1/1'), emulator.addImds('alone')]);
  assert.equal((await imds(second, { client_id: clientIds.reader })).status, 200);
  assert.equal((await imds(single, { client_id: clientIds.reader })).status, 400);
  assert.equal(claimsOf(tokenOf(await imds(single))).xms_mirid, alone);
});

test('I2: answers 404 to unknown paths, also without the header Metadata', async (context) => {
  const { urls } = await emulate(context);
  for (const path of [
    '/',
    '/metadata',
    '/metadata/nothing',
    '/metadata/identity',
    '/metadata/identity/oauth2',
    '/latest/meta-data',
    '/metadata/%zz',
  ]) {
    assert.equal((await getMetadata(urls.imds, path, {})).status, 404, path);
  }
});

test('I2: answers 404 on newer credential paths, or 400 when switched on', async (context) => {
  const emulator = await emulate(context);
  const paths = ['/metadata/identity/getplatformmetadata?cred-api-version=2.0', '/metadata/identity/issuecredential?cred-api-version=2.0'];
  for (const path of paths) assert.equal((await getMetadata(emulator.urls.imds, path, {})).status, 404, path);
  emulator.patchState({ settings: { imds: { v2: true } } });
  for (const path of paths) assert.equal((await getMetadata(emulator.urls.imds, path, {})).status, 400, path);
});

test('I3: answers 400 without Metadata: true, with either of two codes', async (context) => {
  const emulator = await emulate(context);
  const ask = async (headers: Record<string, string>) => errorOf(await imds(emulator.urls.imds, {}, headers));
  const refused = { status: 400, code: 'bad_request_102', message: 'Required metadata header not specified' };
  assert.deepEqual(await ask({}), refused);
  assert.deepEqual(await ask({ metadata: 'false' }), refused);
  assert.equal((await ask({ metadata: 'True' })).status, 200);
  emulator.patchState({ settings: { imds: { headerError: 'invalid_request' } } });
  assert.deepEqual(await ask({}), { ...refused, code: 'invalid_request' });
});

test('I4: answers 400 to any X-Forwarded-For', async (context) => {
  const { urls } = await emulate(context);
  assert.equal((await imds(urls.imds, {}, { ...metadata, 'x-forwarded-for': '10.0.0.1' })).status, 400);
  assert.equal((await imds(urls.imds, {}, { ...metadata, 'x-forwarded-for': '' })).status, 400);
});

test('I5: answers 400 with the newest versions to a wrong api-version', async (context) => {
  const { urls } = await emulate(context);
  for (const version of [null, '', '2018-02-02', 'latest', '2017-12-01']) {
    const reply = await imds(urls.imds, { 'api-version': version });
    assert.equal(reply.status, 400, String(version));
    assert.deepEqual(reply.json['newest-versions'], ['2025-04-07', '2024-07-17', '2024-03-15']);
    assert.equal(typeof reply.json.error, 'string');
  }
  for (const version of ['2018-02-01', '2025-04-07']) assert.equal((await imds(urls.imds, { 'api-version': version })).status, 200);
});

test('I6: answers 400 to a missing resource, AADSTS500011 to an unknown one', async (context) => {
  const emulator = await emulate(context);
  const ask = async (resource: string | null) => errorOf(await imds(emulator.urls.imds, { resource }));
  const required = { status: 400, code: 'invalid_request', message: 'Required audience parameter not specified' };
  assert.deepEqual(await ask(null), required);
  assert.deepEqual(await ask(' '), required);
  assert.equal((await ask('api://anything')).status, 200);
  emulator.patchState({ audiences: [armAudience] });
  const unknown = await ask('api://anything');
  assert.deepEqual([unknown.status, unknown.code], [400, 'invalid_resource']);
  assert.match(unknown.message, new RegExp(`^AADSTS500011: .*api://anything.*${tenant}`));
  assert.equal((await ask(armAudience)).status, 200);
});

test('I7: answers 400 to a repeated parameter and to two selectors', async (context) => {
  const { urls } = await emulate(context);
  const start = `${tokenPath}?api-version=2018-02-01&resource=a`;
  for (const rest of ['&resource=a', '&Resource=b', '&api-version=2018-02-01', '&client_id=a&client_id=a']) {
    assert.equal(errorOf(await getMetadata(urls.imds, start + rest)).code, 'invalid_request', rest);
  }
  for (const [left, right] of [
    ['client_id', 'object_id'],
    ['client_id', 'msi_res_id'],
    ['object_id', 'mi_res_id'],
    ['msi_res_id', 'mi_res_id'],
  ]) {
    assert.match(
      errorOf(await getMetadata(urls.imds, `${start}&${left}=x&${right}=x`)).message,
      /^Only one of client_id, object_id, msi_res_id/,
      `${left} ${right}`,
    );
  }
});

test('I8: selects by client id, object id or resource id, in any case', async (context) => {
  const emulator = await emulate(context);
  const reader = emulator.state().identities.get(idOf('reader').toLowerCase());
  assert.ok(reader !== undefined);
  const selectors: [string, string][] = [
    ['client_id', reader.clientId],
    ['client_id', reader.clientId.toUpperCase()],
    ['object_id', reader.principalId],
    ['object_id', reader.principalId.toUpperCase()],
    ['msi_res_id', reader.id],
    ['msi_res_id', reader.id.toUpperCase()],
    ['mi_res_id', reader.id.toLowerCase()],
  ];
  for (const [name, value] of selectors)
    assert.equal(claimsOf(tokenOf(await imds(emulator.urls.imds, { [name]: value }))).oid, reader.principalId, `${name}=${value}`);
  // A selector of one kind does not find by another.
  assert.equal((await imds(emulator.urls.imds, { client_id: reader.principalId })).status, 400);
  assert.equal((await imds(emulator.urls.imds, { object_id: reader.clientId })).status, 400);
});
