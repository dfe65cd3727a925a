// Rights, budgets, orchestration, other writers, identities as resources: rows A10 to A15 of docs/emulator.md.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isRecord, parseJson } from '../../azure/core/messages.ts';
import { alone, app, clientIds, flex1, flexVm, group, idOf, pool1, smallAzure, subscription } from './fixtures.ts';
import { emulate } from './harness.ts';
import { arm, attachedNames, call, errorOf, identityPatch, imds, propertiesOf, tokenOf } from './requests.ts';

const version = '?api-version=2026-04-01';

const contributor = {
  principal: app.clientId,
  role: 'Virtual Machine Contributor',
  scope: `/subscriptions/${subscription}/resourceGroups/nodes`,
};

const operator = (name: string) => ({ principal: app.clientId, role: 'Managed Identity Operator', scope: idOf(name) });

test('A10: needs two rights to write and to assign, and names all offenders', async (context) => {
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

test('A10: answers AuthorizationFailed without a right, also for a missing set', async (context) => {
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

test('A10: applies a deny assignment to all but its exceptions', async (context) => {
  const lockdown = { name: 'lockdown', scope: `/subscriptions/${subscription}/resourceGroups/nodes`, actions: ['*/write', '*/delete'] };
  const emulator = await emulate(context, { state: smallAzure({ denyAssignments: [lockdown] }) });
  const call = await arm(emulator);
  const refused = errorOf(await call('PATCH', pool1, {}));
  assert.deepEqual([refused.status, refused.code], [403, 'DenyAssignmentAuthorizationFailed']);
  assert.equal((await call('GET', pool1)).status, 200);
  emulator.patchState({ denyAssignments: [{ ...lockdown, except: [app.clientId] }] });
  assert.equal((await call('PATCH', pool1, {})).status, 202);
});

test('A10: checks the rights of a managed identity that calls', async (context) => {
  const emulator = await emulate(context, { state: smallAzure({ roles: [{ ...contributor, principal: clientIds.reader }] }) });
  const token = tokenOf(await imds(emulator.urls.imds, { resource: 'https://management.azure.com/' }));
  const ask = (id: string) => call(emulator.urls.arm, id + version, { headers: { authorization: `Bearer ${token}` }, ca: emulator.ca });
  assert.equal((await ask(pool1)).status, 200);
  assert.equal((await ask(idOf('reader'))).status, 403);
});

test('A11: fails the whole write for a missing identity, at once or at the end', async (context) => {
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

test('A12: takes 12 writes of a scale set, then 4 a minute', async (context) => {
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

test('A12: takes 45 polls of an operation, then 15 a minute; 36 reads, then 12', async (context) => {
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

test('A12: counts all requests per subscription and principal', async (context) => {
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

test('A12: throttles an identity operation with the wait in the text only', async (context) => {
  const emulator = await emulate(context);
  const call = await arm(emulator);
  emulator.addFault({ fault: 'throttled-identity', resource: pool1, seconds: 20 });
  const reply = await call('PATCH', pool1, identityPatch('UserAssigned', ['writer']));
  assert.deepEqual([reply.status, errorOf(reply).code, reply.headers['retry-after']], [429, 'FailedIdentityOperation', undefined]);
  assert.ok(errorOf(reply).message.includes(`resource ${pool1} has issued too many requests. Retry after 20 seconds.`));
});

test('A13: shows identities to all of a Uniform set, to one VM of a Flexible set', async (context) => {
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

test('A14: acts as another writer: capacity, etag, identities, deletion', async (context) => {
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
  await emulator.act({ do: 'attach', resource: pool1, identities: [idOf('third')] });
  assert.deepEqual(await look(), { etag: '"4"', capacity: 4, ids: ['reader', 'third'] });
  await assert.rejects(emulator.act({ do: 'attach', resource: pool1, identities: ['nobody'] }), /there is no identity "nobody"/);
  await emulator.act({ do: 'wipe', resource: pool1, identities: null });
  assert.deepEqual(await look(), { etag: '"5"', capacity: 4, ids: [] });
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

test('A15: reads, creates and deletes user-assigned identities', async (context) => {
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
