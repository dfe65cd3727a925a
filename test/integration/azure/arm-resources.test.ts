// Authentication, resources, and what a write does to identities: rows A1 to A5 of docs/emulator.md.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isRecord } from '../../azure/core/messages.ts';
import { alone, armAudience, clientIds, flex1, flexVm, group, idOf, pool1, smallAzure, subscription } from './fixtures.ts';
import { emulate } from './harness.ts';
import { arm, attachedNames, call, claimsOf, errorOf, identityPatch, propertiesOf, signIn, tokenOf } from './requests.ts';

const version = '?api-version=2026-04-01';

const unlimited = { limits: { arm: false } };

test('A1: answers 401 with a challenge without a valid bearer token for ARM', async (context) => {
  const emulator = await emulate(context);
  const ask = (authorization?: string) =>
    call(emulator.urls.arm, pool1 + version, { headers: authorization === undefined ? {} : { authorization }, ca: emulator.ca });
  const tokenFor = async (scope: string) => tokenOf(await signIn(emulator, { scope }));
  for (const audience of [
    'https://management.azure.com',
    'https://management.azure.com/',
    'https://management.core.windows.net',
    'https://management.core.windows.net/',
  ]) {
    assert.equal((await ask(`Bearer ${await tokenFor(`${audience}/.default`)}`)).status, 200, audience);
  }
  const good = await tokenFor(`${armAudience}/.default`);
  const [head = '', body = '', signature = ''] = good.split('.');
  const forged = `${head}.${Buffer.from(JSON.stringify({ ...claimsOf(good), oid: 'other' })).toString('base64url')}.${signature}`;
  const unsigned = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${body}.`;
  for (const bad of [
    undefined,
    'Bearer',
    'Bearer nonsense',
    `Basic ${good}`,
    `Bearer ${forged}`,
    `Bearer ${unsigned}`,
    `Bearer ${head}.${body}`,
  ]) {
    const reply = await ask(bad);
    assert.equal(reply.status, 401, String(bad));
    assert.match(reply.headers['www-authenticate'] ?? '', /^Bearer .*error="invalid_token"/);
  }
  const wrong = errorOf(await ask(`Bearer ${await tokenFor('https://vault.azure.net/.default')}`));
  assert.deepEqual([wrong.status, wrong.code], [401, 'InvalidAuthenticationToken']);
  emulator.clock.advance((3599 + 301) * 1000);
  const expired = errorOf(await ask(`Bearer ${good}`));
  assert.deepEqual([expired.status, expired.code], [401, 'ExpiredAuthenticationToken']);
  emulator.patchState({ tenant: '22222222-2222-4222-8222-222222222222', tenants: [] });
  emulator.clock.advance(-4_000_000);
  assert.equal(errorOf(await ask(`Bearer ${good}`)).code, 'InvalidAuthenticationTokenTenant');
});

test('A1: serves TLS with a certificate of its CA', async (context) => {
  const emulator = await emulate(context);
  assert.match(emulator.urls.arm, /^https:/);
  await assert.rejects(call(emulator.urls.arm, '/'), { code: 'SELF_SIGNED_CERT_IN_CHAIN' });
  for (const host of ['localhost', '127.0.0.1'])
    assert.equal((await call(emulator.urls.arm.replace('127.0.0.1', host), '/', { ca: emulator.ca })).status, 401);
});

test('A2: requires an api-version, any date from 2018-06-01 on', async (context) => {
  const emulator = await emulate(context);
  const call = await arm(emulator);
  const ask = async (apiVersion: string | null) => errorOf(await call('GET', pool1, undefined, { apiVersion }));
  assert.deepEqual((await ask(null)).code, 'MissingApiVersionParameter');
  for (const bad of ['2017-12-01', '2018-05-31', 'latest', '2024-13-45']) {
    const { status, code, message } = await ask(bad);
    assert.deepEqual([status, code], [400, 'InvalidApiVersionParameter']);
    assert.match(message, /supported versions are '2018-06-01,.*2026-04-01'/);
  }
  for (const good of ['2018-06-01', '2019-12-01', '2031-01-01', '2026-04-01-preview']) assert.equal((await ask(good)).status, 200, good);
});

test('A3: serves GET, PUT, PATCH and lists; paths in any case, ids as created', async (context) => {
  const emulator = await emulate(context, { state: smallAzure({ settings: unlimited }) });
  const call = await arm(emulator);
  for (const id of [pool1, flex1, flexVm, alone]) {
    for (const path of [id, id.toLowerCase(), id.toUpperCase()]) assert.equal((await call('GET', path)).json.id, id, path);
  }
  const ids = async (path: string) => {
    const { value } = (await call('GET', path)).json;
    return Array.isArray(value) ? value.map((one) => one.id) : [];
  };
  const everywhere = `/subscriptions/${subscription}/providers`;
  assert.deepEqual(await ids(`${group}/Microsoft.Compute/virtualMachineScaleSets`), [pool1, flex1]);
  assert.deepEqual(await ids(`${everywhere}/microsoft.compute/virtualmachines`), [flexVm, alone]);
  assert.deepEqual(await ids(`${pool1}/virtualMachines`), [`${pool1}/virtualMachines/0`, `${pool1}/virtualMachines/1`]);
  assert.equal((await call('GET', `${pool1}/virtualMachines/1`)).json.instanceId, '1');
  assert.deepEqual(errorOf(await call('GET', `${pool1}/virtualMachines/7`)).status, 404);
  assert.deepEqual(await ids(`/subscriptions/other/providers/Microsoft.Compute/virtualMachines`), []);

  const made = `${group}/Microsoft.Compute/virtualMachines/Made`;
  assert.equal(errorOf(await call('PUT', made, {})).code, 'LocationRequired');
  const created = await call('PUT', made, { location: 'westeurope', identity: { type: 'SystemAssigned' } });
  assert.deepEqual([created.status, created.json.id], [201, made]);
  emulator.clock.advance(3000);
  assert.equal(propertiesOf(await call('GET', made)).provisioningState, 'Succeeded');
  assert.deepEqual(errorOf(await call('GET', `${group}/Microsoft.Compute/virtualMachines/none`)), {
    status: 404,
    code: 'ResourceNotFound',
    message: "The Resource 'Microsoft.Compute/virtualMachines/none' under resource group 'Nodes' was not found.",
  });
  assert.equal((await call('PATCH', `${group}/Microsoft.Compute/virtualMachines/none`, {})).status, 404);
  assert.equal((await call('GET', `${group}/Microsoft.Network/loadBalancers/x`)).status, 404);
  assert.equal((await call('POST', pool1, {})).status, 405);
});

test('A3: tells resources of one name in other groups and subscriptions apart', async (context) => {
  const other = { subscription: '00000000-0000-4000-8000-000000000002', resourceGroup: 'MC_other' };
  const sets = [
    { name: 'Pool1', instances: 1 },
    { ...other, name: 'Pool1', instances: 3 },
  ];
  const emulator = await emulate(context, { state: smallAzure({ scaleSets: sets, virtualMachines: [], imds: { vm: null } }) });
  const call = await arm(emulator);
  const elsewhere = `/subscriptions/${other.subscription}/resourceGroups/mc_OTHER/providers/Microsoft.Compute/virtualMachineScaleSets/pool1`;
  await call('PATCH', elsewhere, identityPatch('UserAssigned', ['writer']));
  assert.deepEqual([attachedNames(await call('GET', elsewhere)), attachedNames(await call('GET', pool1))], [['writer'], []]);
  assert.deepEqual((await call('GET', elsewhere)).json.sku, { name: 'Standard_D2s_v5', tier: 'Standard', capacity: 3 });
});

// From what, by which PATCH, to what: docs/reference/arm.md#the-identity-property.

const transitions = [
  { from: 'None', patch: ['UserAssigned', ['writer'], []], type: 'UserAssigned', ids: ['writer'] },
  {
    from: 'SystemAssigned',
    patch: ['SystemAssigned, UserAssigned', ['writer'], []],
    type: 'SystemAssigned, UserAssigned',
    ids: ['writer'],
  },
  { from: 'SystemAssigned', patch: ['SystemAssigned,UserAssigned', ['writer'], []], type: 'SystemAssigned, UserAssigned', ids: ['writer'] },
  { from: 'SystemAssigned', patch: ['UserAssigned', ['writer'], []], type: 'UserAssigned', ids: ['writer'] },
  { from: 'UserAssigned', patch: ['UserAssigned', ['writer'], []], type: 'UserAssigned', ids: ['reader', 'third', 'writer'] },
  { from: 'UserAssigned', patch: ['UserAssigned', [], ['reader']], type: 'UserAssigned', ids: ['third'] },
  { from: 'UserAssigned', patch: ['UserAssigned', ['writer'], ['reader']], type: 'UserAssigned', ids: ['third', 'writer'] },
  { from: 'UserAssigned', patch: ['None', [], []], type: undefined, ids: [] },
  { from: 'UserAssigned', patch: ['None', [], ['reader', 'third']], type: undefined, ids: [] },
  { from: 'UserAssigned', patch: ['SystemAssigned', [], []], type: 'SystemAssigned', ids: [] },
  { from: 'UserAssigned', patch: ['SystemAssigned, UserAssigned', [], []], type: 'SystemAssigned, UserAssigned', ids: ['reader', 'third'] },
  { from: 'SystemAssigned, UserAssigned', patch: ['SystemAssigned', [], ['reader', 'third']], type: 'SystemAssigned', ids: [] },
  { from: 'SystemAssigned, UserAssigned', patch: ['None', [], []], type: undefined, ids: [] },
  { from: 'SystemAssigned, UserAssigned', patch: ['UserAssigned', [], ['third']], type: 'UserAssigned', ids: ['reader'] },
] as const;

for (const {
  from,
  patch: [type, add, remove],
  ...expected
} of transitions) {
  test(`A4: merges a PATCH ${type} +[${add}] -[${remove}] into ${from}`, async (context) => {
    const identity = { type: from, ...(from.includes('User') ? { ids: ['reader', 'third'] } : {}) };
    const emulator = await emulate(context, {
      state: smallAzure({ virtualMachines: [{ name: 'alone', identity }], scaleSets: [], imds: { vm: 'alone' } }),
    });
    const call = await arm(emulator);
    const answer = await call('PATCH', alone, identityPatch(type, add, remove));
    assert.equal(answer.status, 202, answer.text);
    emulator.clock.advance(3000);
    const after = await call('GET', alone);
    const got = isRecord(after.json.identity) ? after.json.identity : {};
    assert.deepEqual({ type: got.type, ids: attachedNames(after) }, { type: expected.type, ids: [...expected.ids] });
    assert.equal('principalId' in got, expected.type?.startsWith('System') ?? false);
  });
}

test('A4: replaces the identities by a PUT, also by none', async (context) => {
  const emulator = await emulate(context);
  const call = await arm(emulator);
  await call('PUT', pool1, { location: 'westeurope', ...identityPatch('UserAssigned', ['writer']) });
  emulator.clock.advance(3000);
  assert.deepEqual(attachedNames(await call('GET', pool1)), ['writer']);
  await call('PUT', pool1, { location: 'westeurope' });
  emulator.clock.advance(3000);
  assert.equal((await call('GET', pool1)).json.identity, undefined);
});

test('A4: refuses identities that are repeated, empty, of another type or kind', async (context) => {
  const emulator = await emulate(context, { state: smallAzure({ settings: unlimited }) });
  const call = await arm(emulator);
  const write = async (method: string, identity: unknown) => {
    const reply = await call(method, pool1, { location: 'westeurope', identity });
    return { ...errorOf(reply), target: isRecord(reply.json.error) ? reply.json.error.target : undefined };
  };
  const twice = { type: 'UserAssigned', userAssignedIdentities: { [idOf('writer')]: {}, [idOf('WRITER')]: {} } };
  for (const method of ['PUT', 'PATCH']) {
    const { status, code, message, target } = await write(method, twice);
    assert.deepEqual([status, code, target], [400, 'InvalidParameter', 'resourceIdentity.identityIds']);
    assert.match(message, /cannot be duplicated in the provided identityIds list/);
  }
  const bad: [unknown, string][] = [
    [{ type: 'UserAssigned', userAssignedIdentities: { [idOf('reader')]: null } }, 'InvalidParameter'],
    [{ type: 'SystemAssigned', userAssignedIdentities: { [idOf('writer')]: {} } }, 'InvalidParameter'],
    [{ type: 'UserAssigned', userAssignedIdentities: { writer: {} } }, 'LinkedInvalidPropertyId'],
    [{ type: 'UserAssigned', userAssignedIdentities: { [pool1]: {} } }, 'LinkedInvalidPropertyId'],
    [{ type: 'UserAssigned', userAssignedIdentities: { [idOf('writer')]: 'yes' } }, 'InvalidRequestContent'],
    [{ type: 'UserAssigned', userAssignedIdentities: [idOf('writer')] }, 'InvalidRequestContent'],
    [{ type: 'Everything' }, 'InvalidRequestContent'],
    ['UserAssigned', 'InvalidRequestContent'],
  ];
  for (const [identity, code] of bad)
    assert.deepEqual(
      [(await write('PATCH', identity)).status, (await write('PATCH', identity)).code],
      [400, code],
      JSON.stringify(identity),
    );
  for (const body of ['', '{', '[]', '"x"', 'null'])
    assert.equal(errorOf(await call('PATCH', pool1, body)).code, 'InvalidRequestContent', body);
  assert.deepEqual(attachedNames(await call('GET', pool1)), ['reader'], 'nothing of it was applied');
});

test('A5: shows principal and client id, null for a recreated or deleted identity', async (context) => {
  const emulator = await emulate(context);
  const call = await arm(emulator);
  const reader = async () => {
    const { identity } = (await call('GET', pool1)).json;
    return isRecord(identity) && isRecord(identity.userAssignedIdentities) ? identity.userAssignedIdentities[idOf('reader')] : undefined;
  };
  const known = emulator.state().identities.get(idOf('reader').toLowerCase());
  assert.deepEqual(await reader(), { principalId: known?.principalId, clientId: clientIds.reader });
  await emulator.act({ do: 'recreate-identity', identity: clientIds.reader });
  assert.deepEqual(await reader(), { principalId: null, clientId: null });
  await emulator.act({ do: 'delete-identity', identity: idOf('reader') });
  assert.deepEqual(await reader(), { principalId: null, clientId: null });
});
