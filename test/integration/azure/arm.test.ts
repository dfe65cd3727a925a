// Rows A1-A15 of spec/azure-protocols.md 8.2, one test or more each.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isRecord, parseJson } from '../../azure/core/messages.ts';
import type { Reply } from './support.ts';
import {
  alone,
  app,
  arm,
  armAudience,
  attachedNames,
  call,
  claimsOf,
  clientIds,
  emulate,
  errorOf,
  flex1,
  flexVm,
  group,
  identityPatch,
  idOf,
  imds,
  pool1,
  signIn,
  smallAzure,
  subscription,
  tokenOf,
} from './support.ts';

const version = '?api-version=2026-04-01';
const unlimited = { limits: { arm: false } };

function propertiesOf(reply: Reply): Record<string, unknown> {
  return isRecord(reply.json.properties) ? reply.json.properties : {};
}

test('A1 a bearer token is required: signed here, for ARM in one of its four names, not expired; else 401 with a challenge', async (context) => {
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
    assert.equal(reply.status, 401, bad);
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

test('A1 it is TLS, by the CA it hands out', async (context) => {
  const emulator = await emulate(context);
  assert.match(emulator.urls.arm, /^https:/);
  await assert.rejects(call(emulator.urls.arm, '/'), { code: 'SELF_SIGNED_CERT_IN_CHAIN' });
  for (const host of ['localhost', '127.0.0.1'])
    assert.equal((await call(emulator.urls.arm.replace('127.0.0.1', host), '/', { ca: emulator.ca })).status, 401);
});

test('A2 api-version is required, any date from 2018-06-01 on', async (context) => {
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

test('A3 GET, PUT, PATCH and lists; paths in any case, ids in the case of creation', async (context) => {
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

test('A3 several subscriptions and resource groups: the same name elsewhere is another resource', async (context) => {
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

// From what, by which PATCH, to what (spec 3.1).
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
  test(`A4 PATCH of ${from} with ${type} +[${add}] -[${remove}] gives ${expected.type ?? 'no identity'}`, async (context) => {
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

test('A4 PUT replaces: what it does not name goes, also all of it', async (context) => {
  const emulator = await emulate(context);
  const call = await arm(emulator);
  await call('PUT', pool1, { location: 'westeurope', ...identityPatch('UserAssigned', ['writer']) });
  emulator.clock.advance(3000);
  assert.deepEqual(attachedNames(await call('GET', pool1)), ['writer']);
  await call('PUT', pool1, { location: 'westeurope' });
  emulator.clock.advance(3000);
  assert.equal((await call('GET', pool1)).json.identity, undefined);
});

test('A4 what a write of identities must not be: twice by case, empty, of another type, of something else', async (context) => {
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

test('A5 GET tells principal and client ids; both are null for an identity that was recreated or deleted', async (context) => {
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

test('A6 the etag is a counter in quotes, bumped on accept and on completion, as configured', async (context) => {
  for (const [etagBump, accepted, completed] of [
    ['both', '"2"', '"3"'],
    ['accept', '"2"', '"2"'],
    ['completion', '"1"', '"2"'],
  ]) {
    const emulator = await emulate(context, { state: smallAzure({ settings: { arm: { etagBump } } }) });
    const call = await arm(emulator);
    assert.equal((await call('GET', pool1)).json.etag, '"1"');
    assert.equal((await call('PATCH', pool1, identityPatch('UserAssigned', ['writer']))).json.etag, accepted, etagBump);
    emulator.clock.advance(3000);
    assert.equal((await call('GET', pool1)).json.etag, completed, etagBump);
  }
});

test('A6 If-Match of another etag is 412 with both etags; If-None-Match * is 412 where the resource exists', async (context) => {
  const emulator = await emulate(context);
  const call = await arm(emulator);
  const write = (headers: Record<string, string>) => call('PATCH', pool1, identityPatch('UserAssigned', ['writer']), { headers });
  assert.deepEqual(errorOf(await write({ 'if-match': '"9"' })), {
    status: 412,
    code: 'PreconditionFailed',
    message: 'Etag provided in if-match header "9" does not match etag "1" of resource.',
  });
  assert.equal((await write({ 'if-match': '1' })).status, 412, 'the quotes belong to it');
  assert.equal((await write({ 'if-none-match': '*' })).status, 412);
  assert.deepEqual(attachedNames(await call('GET', pool1)), ['reader']);
  assert.equal((await write({ 'if-match': '"1"' })).status, 202);
  assert.equal((await write({ 'if-match': '*' })).status, 202);
  const fresh = `${group}/Microsoft.Compute/virtualMachines/fresh`;
  assert.equal((await call('PUT', fresh, { location: 'x' }, { headers: { 'if-match': '"1"' } })).status, 412);
  assert.equal((await call('PUT', fresh, { location: 'x' }, { headers: { 'if-none-match': '*' } })).status, 201);
});

test('A6 before api-version 2024-03-01, or switched off, there is no etag', async (context) => {
  const emulator = await emulate(context);
  const call = await arm(emulator);
  assert.equal((await call('GET', pool1, undefined, { apiVersion: '2023-09-01' })).json.etag, undefined);
  assert.equal((await call('PATCH', pool1, {}, { apiVersion: '2023-09-01', headers: { 'if-match': '"9"' } })).status, 202);
  emulator.patchState({ settings: { arm: { etags: false } } });
  assert.equal((await call('GET', pool1)).json.etag, undefined);
});

test('A7 a write is accepted with the headers of its variant, runs, and ends', async (context) => {
  const variants = [
    ['202+async+location', 202, true, true],
    ['202+async', 202, true, false],
    ['200+async', 200, true, false],
    ['202+location', 202, false, true],
    ['200', 200, false, false],
  ] as const;
  for (const [lro, status, hasStatus, hasResult] of variants) {
    const emulator = await emulate(context, { state: smallAzure({ settings: { arm: { lro } } }) });
    const call = await arm(emulator);
    const answer = await call('PATCH', pool1, identityPatch('UserAssigned', ['writer']));
    const { 'azure-asyncoperation': statusUrl, location } = answer.headers;
    assert.deepEqual([answer.status, statusUrl !== undefined, location !== undefined], [status, hasStatus, hasResult], lro);
    assert.equal(propertiesOf(answer).provisioningState, lro === '200' ? 'Succeeded' : 'Updating', lro);
    if (statusUrl !== undefined) {
      const running = (await call('GET', statusUrl)).json;
      assert.deepEqual([running.status, running.endTime, running.error], ['InProgress', undefined, undefined]);
    }
    if (location !== undefined) {
      const waiting = await call('GET', location);
      assert.deepEqual([waiting.status, waiting.headers.location], [202, location], 'the result is not there yet');
    }
    emulator.clock.advance(3000);
    if (statusUrl !== undefined) {
      const ended = (await call('GET', statusUrl)).json;
      assert.deepEqual([ended.status, ended.endTime], ['Succeeded', new Date(emulator.clock.now()).toISOString()]);
      assert.ok(statusUrl.includes(String(ended.name)) && typeof ended.startTime === 'string');
    }
    if (location !== undefined)
      assert.deepEqual([(await call('GET', location)).status, (await call('GET', location)).json.id], [200, pool1]);
    assert.deepEqual(attachedNames(await call('GET', pool1)), ['reader', 'writer'], lro);
  }
});

test('A7 Retry-After as configured, and operations that are asked for too late are 404', async (context) => {
  const emulator = await emulate(context, {
    state: smallAzure({ settings: { arm: { retryAfterSeconds: 7, operationRetentionSeconds: 60 } } }),
  });
  const call = await arm(emulator);
  const answer = await call('PATCH', pool1, identityPatch('UserAssigned', ['writer']));
  const url = answer.headers['azure-asyncoperation'] ?? '';
  assert.equal(answer.headers['retry-after'], '7');
  assert.equal((await call('GET', url)).headers['retry-after'], '7');
  emulator.clock.advance(3000);
  assert.equal((await call('GET', url)).headers['retry-after'], undefined);
  emulator.clock.advance(60_001);
  assert.equal((await call('GET', url)).status, 404);
  assert.equal(
    (await call('GET', `/subscriptions/${subscription}/providers/Microsoft.Compute/locations/westeurope/operations/none`)).status,
    404,
  );
});

test('A8 the resource is Updating while an operation runs, and shows its identities at once or at the end', async (context) => {
  for (const [identityVisible, during] of [
    ['accept', ['reader', 'writer']],
    ['completion', ['reader']],
  ] as const) {
    const emulator = await emulate(context, { state: smallAzure({ settings: { arm: { identityVisible } } }) });
    const call = await arm(emulator);
    await call('PATCH', pool1, identityPatch('UserAssigned', ['writer']));
    const running = await call('GET', pool1);
    assert.deepEqual([propertiesOf(running).provisioningState, attachedNames(running)], ['Updating', [...during]]);
    emulator.clock.advance(3000);
    const ended = await call('GET', pool1);
    assert.deepEqual([propertiesOf(ended).provisioningState, attachedNames(ended)], ['Succeeded', ['reader', 'writer']]);
  }
});

test('A9 a second write while one runs: after it, refused, or in its place', async (context) => {
  const start = async (concurrency: string) => {
    const emulator = await emulate(context, { state: smallAzure({ settings: { arm: { concurrency } } }) });
    const call = await arm(emulator);
    const first = await call('PATCH', pool1, identityPatch('UserAssigned', ['writer']));
    emulator.clock.advance(1000);
    const second = await call('PATCH', pool1, identityPatch('UserAssigned', ['third']));
    const statusOf = async (reply: Reply) => (await call('GET', reply.headers['azure-asyncoperation'] ?? '')).json;
    return { emulator, call, first, second, statusOf };
  };
  const serial = await start('serialise');
  serial.emulator.clock.advance(3000);
  assert.deepEqual(
    [(await serial.statusOf(serial.first)).status, (await serial.statusOf(serial.second)).status],
    ['Succeeded', 'InProgress'],
  );
  assert.equal(propertiesOf(await serial.call('GET', pool1)).provisioningState, 'Updating');
  serial.emulator.clock.advance(2000);
  assert.equal((await serial.statusOf(serial.second)).status, 'Succeeded');
  assert.deepEqual(attachedNames(await serial.call('GET', pool1)), ['reader', 'third', 'writer']);

  const refusing = await start('conflict');
  assert.deepEqual([errorOf(refusing.second).status, errorOf(refusing.second).code], [409, 'Conflict']);
  assert.match(errorOf(refusing.second).message, /^The request failed due to conflict with a concurrent request\./);
  assert.equal((await refusing.call('PATCH', alone, {})).status, 202, 'another resource is not concerned');

  const preempting = await start('preempt');
  const older = await preempting.statusOf(preempting.first);
  assert.equal(older.status, 'Canceled');
  assert.ok(isRecord(older.error));
  assert.equal(older.error.code, 'OperationPreempted');
  assert.match(String(older.error.message), /has been preempted by a more recent operation/);
  preempting.emulator.clock.advance(3000);
  assert.deepEqual(attachedNames(await preempting.call('GET', pool1)), ['reader', 'third'], 'what the older one wanted is lost');
  assert.equal((await imds(preempting.emulator.urls.imds, { client_id: clientIds.writer })).status, 400);
});

const contributor = {
  principal: app.clientId,
  role: 'Virtual Machine Contributor',
  scope: `/subscriptions/${subscription}/resourceGroups/nodes`,
};
const operator = (name: string) => ({ principal: app.clientId, role: 'Managed Identity Operator', scope: idOf(name) });

test('A10 writing the set and assigning an identity are separate rights; the 403 lists all offenders', async (context) => {
  const emulator = await emulate(context, { state: smallAzure({ roles: [contributor, operator('writer')] }) });
  const call = await arm(emulator);
  const patch = (...names: string[]) => call('PATCH', pool1, identityPatch('UserAssigned', names));
  const refused = errorOf(await patch('writer', 'reader', 'third'));
  assert.deepEqual([refused.status, refused.code], [403, 'LinkedAuthorizationFailed']);
  assert.ok(refused.message.includes(`on the linked scope(s) '${idOf('reader')},${idOf('third')}'`), refused.message);
  assert.match(refused.message, /Microsoft\.ManagedIdentity\/userAssignedIdentities\/assign\/action/);
  assert.deepEqual(attachedNames(await call('GET', pool1)), ['reader'], 'nothing of the batch was applied');
  assert.equal((await patch('writer')).status, 202);
  assert.equal(
    (await call('PATCH', pool1, identityPatch('UserAssigned', [], ['reader']))).status,
    202,
    'removing needs no right on the identity',
  );
});

test('A10 without the right on the set: AuthorizationFailed, for writes and reads, also for what does not exist', async (context) => {
  const emulator = await emulate(context, {
    state: smallAzure({ roles: [{ principal: app.clientId, actions: ['Microsoft.Compute/*/read'], scope: pool1 }] }),
  });
  const call = await arm(emulator);
  assert.equal((await call('GET', pool1)).status, 200);
  const refused = errorOf(await call('PATCH', pool1, {}));
  assert.deepEqual([refused.status, refused.code], [403, 'AuthorizationFailed']);
  assert.ok(refused.message.includes(`'Microsoft.Compute/virtualMachineScaleSets/write' over scope '${pool1}'`));
  for (const id of [
    flex1,
    `${group}/Microsoft.Compute/virtualMachines/none`,
    idOf('reader'),
    `${group}/Microsoft.Compute/virtualMachines`,
  ]) {
    assert.equal(errorOf(await call('GET', id)).code, 'AuthorizationFailed', id);
  }
});

test('A10 a deny assignment wins over every role, except for those it names', async (context) => {
  const lockdown = { name: 'lockdown', scope: `/subscriptions/${subscription}/resourceGroups/nodes`, actions: ['*/write', '*/delete'] };
  const emulator = await emulate(context, { state: smallAzure({ denyAssignments: [lockdown] }) });
  const call = await arm(emulator);
  const refused = errorOf(await call('PATCH', pool1, {}));
  assert.deepEqual([refused.status, refused.code], [403, 'DenyAssignmentAuthorizationFailed']);
  assert.equal((await call('GET', pool1)).status, 200);
  emulator.patchState({ denyAssignments: [{ ...lockdown, except: [app.clientId] }] });
  assert.equal((await call('PATCH', pool1, {})).status, 202);
});

test('A10 a managed identity calls by its own rights', async (context) => {
  const emulator = await emulate(context, { state: smallAzure({ roles: [{ ...contributor, principal: clientIds.reader }] }) });
  const token = tokenOf(await imds(emulator.urls.imds, { resource: 'https://management.azure.com/' }));
  const ask = (id: string) => call(emulator.urls.arm, id + version, { headers: { authorization: `Bearer ${token}` }, ca: emulator.ca });
  assert.equal((await ask(pool1)).status, 200);
  assert.equal((await ask(idOf('reader'))).status, 403);
});

test('A11 an identity that does not exist fails the whole batch, at once or at the end of the operation', async (context) => {
  const emulator = await emulate(context);
  const call = await arm(emulator);
  const expected = {
    code: 'FailedIdentityOperation',
    message: `Identity operation for resource '${pool1}' failed with error 'Failed to perform resource identity operation. Status: 'BadRequest'. Response: '{"error":{"code":"BadRequest","message":"Resource '${idOf('gone')}' was not found."}}'.'.`,
  };
  assert.deepEqual(errorOf(await call('PATCH', pool1, identityPatch('UserAssigned', ['writer', 'gone']))), { status: 400, ...expected });
  assert.deepEqual(attachedNames(await call('GET', pool1)), ['reader']);

  emulator.patchState({ settings: { arm: { missingIdentity: 'completion' } } });
  const accepted = await call('PATCH', pool1, identityPatch('UserAssigned', ['writer', 'gone']));
  assert.equal(accepted.status, 202);
  emulator.clock.advance(3000);
  const ended = (await call('GET', accepted.headers['azure-asyncoperation'] ?? '')).json;
  assert.deepEqual([ended.status, ended.error], ['Failed', expected]);
  assert.deepEqual(attachedNames(await call('GET', pool1)), ['reader']);
  assert.equal(propertiesOf(await call('GET', pool1)).provisioningState, 'Failed');
});

test('A12 a scale set takes 12 writes and then 4 a minute; an early retry starts its wait again; others are not concerned', async (context) => {
  const emulator = await emulate(context);
  const call = await arm(emulator);
  const write = () => call('PATCH', pool1, identityPatch('UserAssigned', ['writer']));
  const first = [];
  for (let count = 0; count < 12; count += 1) first.push(await write());
  assert.ok(first.every((reply) => reply.status === 202));
  const resources = first.map((reply) => reply.headers['x-ms-ratelimit-remaining-resource']);
  assert.deepEqual(
    [resources[0], resources[11]],
    [
      'Microsoft.Compute/UpdateVMScaleSetResource;11,Microsoft.Compute/UpdateVMScaleSetSubscription;1499',
      'Microsoft.Compute/UpdateVMScaleSetResource;0,Microsoft.Compute/UpdateVMScaleSetSubscription;1488',
    ],
  );
  assert.equal(first[11]?.headers['x-ms-ratelimit-remaining-subscription-writes'], '188');
  const refused = await write();
  assert.deepEqual([refused.status, errorOf(refused).code, refused.headers['retry-after']], [429, 'OperationNotAllowed', '15']);
  assert.equal((await call('PATCH', alone, {})).status, 202, 'another resource');
  assert.equal((await call('GET', pool1)).status, 200, 'another kind of call');
  emulator.clock.advance(14_000);
  assert.equal((await write()).status, 429);
  emulator.clock.advance(14_000);
  assert.equal((await write()).status, 429, 'the wait began anew');
  emulator.clock.advance(15_000);
  assert.equal((await write()).status, 202);
});

test('A12 polling an operation has a budget of 45 and then 15 a minute, reads one of 36 and 12', async (context) => {
  const emulator = await emulate(context);
  const call = await arm(emulator);
  const url = (await call('PATCH', pool1, {})).headers['azure-asyncoperation'] ?? '';
  const statuses = async (path: string, count: number) => {
    const seen: number[] = [];
    for (let index = 0; index < count; index += 1) seen.push((await call('GET', path)).status);
    return seen;
  };
  assert.deepEqual(await statuses(url, 46), [...Array(45).fill(200), 429]);
  assert.deepEqual(await statuses(pool1, 37), [...Array(36).fill(200), 429]);
  emulator.clock.advance(60_000);
  assert.deepEqual(await statuses(url, 16), [...Array(15).fill(200), 429]);
});

test('A12 ARM itself counts per subscription and principal, whatever is asked', async (context) => {
  const emulator = await emulate(context);
  const call = await arm(emulator);
  const ask = (sub: string) => call('GET', `/subscriptions/${sub}/providers/Microsoft.ManagedIdentity/userAssignedIdentities`);
  for (let count = 0; count < 250; count += 1) assert.equal((await ask(subscription)).status, 200);
  const refused = await ask(subscription);
  assert.deepEqual(
    [refused.status, refused.headers['retry-after'], refused.headers['x-ms-ratelimit-remaining-subscription-reads']],
    [429, '1', '0'],
  );
  assert.equal((await ask('another')).status, 200);
  emulator.clock.advance(1000);
  assert.equal((await ask(subscription)).headers['x-ms-ratelimit-remaining-subscription-reads'], '24');
});

test('A12 the identity service throttles on its own: 429 FailedIdentityOperation with the wait only in the text', async (context) => {
  const emulator = await emulate(context);
  const call = await arm(emulator);
  emulator.addFault({ fault: 'throttled-identity', resource: pool1, seconds: 20 });
  const reply = await call('PATCH', pool1, identityPatch('UserAssigned', ['writer']));
  assert.deepEqual([reply.status, errorOf(reply).code, reply.headers['retry-after']], [429, 'FailedIdentityOperation', undefined]);
  assert.ok(errorOf(reply).message.includes(`resource ${pool1} has issued too many requests. Retry after 20 seconds.`));
});

test('A13 all instances of a Uniform set see its identities, of a Flexible one only the VM that has them', async (context) => {
  const emulator = await emulate(context);
  const call = await arm(emulator);
  const [second, flexible] = await Promise.all([emulator.addImds('Pool1/1'), emulator.addImds('flex1-a')]);
  for (const id of [pool1, flex1]) await call('PATCH', id, identityPatch('UserAssigned', ['writer']));
  emulator.clock.advance(3000);
  const ask = async (base: string) => (await imds(base, { client_id: clientIds.writer })).status;
  assert.deepEqual([await ask(emulator.urls.imds), await ask(second), await ask(flexible)], [200, 200, 400]);
  assert.deepEqual(attachedNames(await call('GET', `${pool1}/virtualMachines/1`)), ['reader', 'writer']);
  assert.deepEqual(propertiesOf(await call('GET', flexVm)).virtualMachineScaleSet, { id: flex1 });
  await call('PATCH', flexVm, identityPatch('UserAssigned', ['writer']));
  emulator.clock.advance(3000);
  assert.equal(await ask(flexible), 200);
  assert.equal(
    (await call('PATCH', `${pool1}/virtualMachines/1`, identityPatch('UserAssigned', ['third']))).status,
    405,
    'an instance has none of its own',
  );
});

test('A14 other writers: capacity, etag, wiped identities, a set deleted and made again', async (context) => {
  const emulator = await emulate(context);
  const call = await arm(emulator);
  const look = async () => {
    const reply = await call('GET', pool1);
    return { etag: reply.json.etag, capacity: isRecord(reply.json.sku) ? reply.json.sku.capacity : undefined, ids: attachedNames(reply) };
  };
  await emulator.act({ do: 'capacity', resource: pool1, instances: 4 });
  assert.deepEqual(await look(), { etag: '"2"', capacity: 4, ids: ['reader'] });
  await emulator.act({ do: 'bump-etag', resource: pool1 });
  assert.equal((await look()).etag, '"3"');
  await emulator.act({ do: 'wipe', resource: pool1, identities: null });
  assert.deepEqual(await look(), { etag: '"4"', capacity: 4, ids: [] });
  assert.equal((await imds(emulator.urls.imds)).status, 400, 'and IMDS knows');
  const running = await call('PATCH', pool1, identityPatch('UserAssigned', ['writer']));
  await emulator.act({ do: 'delete', resource: pool1 });
  assert.equal((await call('GET', pool1)).status, 404);
  assert.equal((await call('GET', running.headers['azure-asyncoperation'] ?? '')).json.status, 'Canceled');
  await assert.rejects(emulator.act({ do: 'wipe', resource: pool1, identities: null }), /there is no scale set/);

  const other = await emulate(context);
  const callOther = await arm(other);
  await callOther('PATCH', pool1, identityPatch('UserAssigned', ['writer']));
  await other.act({ do: 'recreate', resource: pool1 });
  other.clock.advance(3000);
  const made = await callOther('GET', pool1);
  assert.deepEqual([made.json.etag, attachedNames(made)], ['"1"', []], 'the operation of the old one does not touch the new one');
});

test('A15 user-assigned identities can be read, made and deleted', async (context) => {
  const emulator = await emulate(context);
  const call = await arm(emulator);
  const known = emulator.state().identities.get(idOf('reader').toLowerCase());
  const read = await call('GET', idOf('READER'));
  assert.deepEqual(
    [read.json.id, propertiesOf(read)],
    [idOf('reader'), { tenantId: known?.tenantId, principalId: known?.principalId, clientId: clientIds.reader }],
  );
  assert.equal((await call('DELETE', idOf('reader'))).status, 200);
  assert.equal((await call('DELETE', idOf('reader'))).status, 204);
  assert.equal(errorOf(await call('GET', idOf('reader'))).code, 'ResourceNotFound');
  assert.equal((await imds(emulator.urls.imds)).status, 400);
  const made = await call('PUT', idOf('reader'), { location: 'westeurope' });
  assert.equal(made.status, 201);
  assert.notEqual(propertiesOf(made).clientId, clientIds.reader);
  assert.deepEqual(propertiesOf(await call('PUT', idOf('reader'), { location: 'westeurope' })), propertiesOf(made));
  const listed = parseJson((await call('GET', `${group}/Microsoft.ManagedIdentity/userAssignedIdentities`)).text);
  assert.ok(isRecord(listed) && Array.isArray(listed.value) && listed.value.length === 3);
});
