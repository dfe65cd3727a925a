// Faults at ARM.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isRecord } from '../../azure/core/messages.ts';
import { alone, clientIds, group, idOf, pool1, smallAzure } from './fixtures.ts';
import { emulate } from './harness.ts';
import { arm, attachedNames, call, errorOf, identityPatch, imds, signIn, tokenOf } from './requests.ts';

test('operation: takes a time from a range, a long time, or never ends', async (context) => {
  const emulator = await emulate(context, {
    state: smallAzure({
      settings: { arm: { operationMs: { virtualMachine: { min: 10_000, max: 20_000 }, scaleSet: { min: 40_000, max: 60_000 } } } },
    }),
  });
  const patch = await arm(emulator);
  const start = async (id: string) => (await patch('PATCH', id, {})).headers['azure-asyncoperation'] ?? '';
  const state = async (url: string) => (await patch('GET', url)).json.status;
  const [vm, set] = [await start(alone), await start(pool1)];
  emulator.clock.advance(9999);
  assert.equal(await state(vm), 'InProgress');
  emulator.clock.advance(10_001);
  assert.deepEqual([await state(vm), await state(set)], ['Succeeded', 'InProgress']);
  emulator.clock.advance(40_000);
  assert.equal(await state(set), 'Succeeded');
  emulator.addFault({ fault: 'operation', resource: alone, ms: 300_000 });
  const long = await start(alone);
  emulator.clock.advance(299_999);
  assert.equal(await state(long), 'InProgress');
  emulator.clock.advance(1);
  assert.equal(await state(long), 'Succeeded');
  emulator.addFault({ fault: 'operation', resource: alone, ms: null });
  const never = await start(alone);
  emulator.clock.advance(3_000_000);
  assert.equal(await state(never), 'InProgress');
});

test('operation: ends as Failed or Canceled; its URL answers 404 or 5xx', async (context) => {
  const emulator = await emulate(context);
  const patch = await arm(emulator);
  for (const end of ['Failed', 'Canceled']) {
    emulator.addFault({ fault: 'operation', ms: 1000, end, code: 'Because', message: 'of a test' });
    const url = (await patch('PATCH', pool1, identityPatch('UserAssigned', ['writer']))).headers['azure-asyncoperation'] ?? '';
    emulator.clock.advance(1000);
    const ended = (await patch('GET', url)).json;
    assert.deepEqual([ended.status, ended.error], [end, { code: 'Because', message: 'of a test' }]);
    const after = await patch('GET', pool1);
    assert.deepEqual([attachedNames(after), isRecord(after.json.properties) && after.json.properties.provisioningState], [['reader'], end]);
  }
  const url = (await patch('PATCH', pool1, {})).headers['azure-asyncoperation'] ?? '';
  for (const status of [404, 500, 503]) {
    emulator.addFault({
      fault: 'answer',
      service: 'arm',
      path: '/operations/',
      count: 1,
      status,
      body: { error: { code: 'X', message: 'y' } },
    });
    assert.equal((await patch('GET', url)).status, status);
  }
  assert.equal((await patch('GET', url)).status, 200);
});

test('conflict, precondition-failed: answer 409 and 412 so many times', async (context) => {
  const emulator = await emulate(context);
  const patch = await arm(emulator);
  const write = async (headers: Record<string, string> = {}) => errorOf(await patch('PATCH', pool1, {}, { headers }));
  emulator.addFault({ fault: 'conflict', resource: pool1, count: 2 });
  assert.equal((await patch('GET', pool1)).status, 200, 'a read does not use it up');
  assert.deepEqual([(await write()).code, (await write()).code, (await write()).status], ['Conflict', 'Conflict', 202]);
  emulator.addFault({ fault: 'precondition-failed', count: 1 });
  assert.match(
    (await write({ 'if-match': '"2"' })).message,
    /^Etag provided in if-match header "2" does not match etag "\d+" of resource\.$/,
  );
  emulator.addFault({ fault: 'operation', ms: 500, end: 'Canceled' });
  const url = (await patch('PATCH', alone, {})).headers['azure-asyncoperation'] ?? '';
  emulator.clock.advance(500);
  const { error } = (await patch('GET', url)).json;
  assert.ok(isRecord(error) && error.code === 'OperationPreempted');
});

test('throttled: answers 429 for one resource, with and without Retry-After', async (context) => {
  const emulator = await emulate(context);
  const patch = await arm(emulator);
  for (const retryAfter of [1, 20, 300, null]) {
    emulator.addFault({ fault: 'throttled', resource: pool1, retryAfter });
    const reply = await patch('GET', pool1);
    assert.deepEqual([reply.status, reply.headers['retry-after']], [429, retryAfter === null ? undefined : String(retryAfter)]);
    assert.equal((await patch('GET', alone)).status, 200);
    assert.equal((await patch('GET', pool1)).status, 200);
  }
});

test('missing-identity, role-missing: fail one identity of a write', async (context) => {
  const emulator = await emulate(context);
  const patch = await arm(emulator);
  const write = async (...names: string[]) => errorOf(await patch('PATCH', pool1, identityPatch('UserAssigned', names)));
  const missing = emulator.addFault({ fault: 'missing-identity', identity: clientIds.writer });
  assert.ok((await write('third', 'writer')).message.includes(`Resource '${idOf('writer')}' was not found.`));
  assert.equal((await write('third')).status, 202);
  assert.equal((await write('writer')).code, 'FailedIdentityOperation', 'the good ones did not use it up');
  emulator.removeFaults(missing);
  emulator.addFault({ fault: 'role-missing', identity: idOf('writer') });
  assert.ok((await write('third', 'writer')).message.includes(`linked scope(s) '${idOf('writer')}'`));
  assert.equal((await write('third')).status, 202);
});

test('A16: refuses writes until the fault is removed, and answers reads', async (context) => {
  const emulator = await emulate(context);
  const patch = await arm(emulator);
  const nodes = pool1.slice(0, pool1.indexOf('/providers'));
  const subnet = `${group}/Microsoft.Network/virtualNetworks/v/subnets/n`;
  const cases: [fault: string, options: Record<string, string>, status: number, code: string, text: RegExp][] = [
    ['scope-locked', {}, 409, 'ScopeLocked', new RegExp(`following scope\\(s\\) are locked: '${nodes}'`)],
    ['scope-locked', { lockedScope: pool1 }, 409, 'ScopeLocked', new RegExp(`are locked: '${pool1}'`)],
    ['subscription-disabled', {}, 409, 'ReadOnlyDisabledSubscription', /marked as read only/],
    ['property-change', {}, 409, 'PropertyChangeNotAllowed', /^Changing property 'platformFaultDomainCount' is not allowed\.$/],
    ['quota-exceeded', {}, 409, 'OperationNotAllowed', /exceeding approved Total Regional Cores quota/],
    ['policy-denied', {}, 403, 'RequestDisallowedByPolicy', /'Pool1' was disallowed by policy/],
    [
      'linked-forbidden',
      { linkedScope: subnet },
      403,
      'LinkedAuthorizationFailed',
      new RegExp(`subnets/join/action' on the linked scope\\(s\\) '${subnet}'`),
    ],
    ['reference-missing', {}, 404, 'ResourceNotFound', /'Microsoft\.Network\/networkSecurityGroups\/nodes' under resource group 'Nodes'/],
  ];
  for (const [fault, options, status, code, text] of cases) {
    const id = emulator.addFault({ fault, resource: pool1, ...options });
    const refused = await patch('PATCH', pool1, identityPatch('UserAssigned', ['writer']));
    assert.deepEqual([errorOf(refused).status, errorOf(refused).code], [status, code]);
    assert.match(errorOf(refused).message, text);
    assert.deepEqual(attachedNames(await patch('GET', pool1)), ['reader'], 'and a read is answered');
    assert.equal((await patch('PATCH', alone, {})).status, 202, 'another resource is not concerned');
    emulator.removeFaults(id);
  }
  emulator.addFault({ fault: 'policy-denied', evaluates: 'identity.userAssignedIdentities' });
  assert.ok((await patch('PATCH', pool1, {})).text.includes('"path":"identity.userAssignedIdentities"'));
});

test('A17: names an attached identity that was deleted at every write that keeps it', async (context) => {
  const emulator = await emulate(context);
  const patch = await arm(emulator);
  emulator.addFault({ fault: 'ghost', attached: clientIds.reader });
  const refused = errorOf(await patch('PATCH', pool1, identityPatch('UserAssigned', ['writer'])));
  assert.deepEqual([refused.status, refused.code], [400, 'FailedIdentityOperation']);
  assert.ok(refused.message.includes(`Resource '${idOf('reader')}' was not found.`));
  assert.equal((await patch('PATCH', pool1, {})).status, 202, 'a write that is not about identities');
  assert.equal((await patch('PATCH', pool1, identityPatch('UserAssigned', ['writer'], ['reader']))).status, 202, 'it is detached');
  assert.equal((await patch('PATCH', pool1, identityPatch('UserAssigned', ['third']))).status, 202);
  emulator.addFault({ fault: 'ghost' });
  assert.equal(errorOf(await patch('PATCH', pool1, identityPatch('UserAssigned', ['reader']))).status, 400, 'each that is attached');
});

test('write: acts as another writer at the moment of a request', async (context) => {
  const emulator = await emulate(context);
  const patch = await arm(emulator);
  const write = async (headers: Record<string, string> = {}) =>
    errorOf(await patch('PATCH', pool1, identityPatch('UserAssigned', ['writer']), { headers }));
  emulator.addFault({ fault: 'write', method: 'PATCH', resource: pool1, action: { do: 'bump-etag', resource: pool1 } });
  assert.equal((await write({ 'if-match': '"1"' })).status, 412, 'between the GET and the PATCH');
  emulator.addFault({ fault: 'write', method: 'PATCH', action: { do: 'wipe', resource: pool1, identities: ['reader'].map(idOf) } });
  assert.equal((await write()).status, 202);
  assert.deepEqual(attachedNames(await patch('GET', pool1)), ['writer']);
  emulator.addFault({ fault: 'write', method: 'GET', path: '/operations/', action: { do: 'delete', resource: pool1 } });
  const url = (await patch('PATCH', pool1, {})).headers['azure-asyncoperation'] ?? '';
  assert.equal((await patch('GET', url)).json.status, 'Canceled');
  assert.equal((await patch('GET', pool1)).status, 404);
});

test('forbidden, deny-assignment: take rights away while the emulator runs', async (context) => {
  const emulator = await emulate(context);
  const patch = await arm(emulator);
  const write = async () => errorOf(await patch('PATCH', pool1, {})).code;
  for (const [fault, code] of [
    ['forbidden', 'AuthorizationFailed'],
    ['deny-assignment', 'DenyAssignmentAuthorizationFailed'],
  ]) {
    const id = emulator.addFault({ fault, method: 'PATCH' });
    assert.deepEqual([await write(), await write()], [code, code], 'until it is removed');
    emulator.removeFaults(id);
    assert.equal(errorOf(await patch('PATCH', pool1, {})).status, 202);
  }
  emulator.patchState({ roles: [] });
  assert.equal(await write(), 'AuthorizationFailed');
});

test('bad-token, unauthorized: spoil one token, or the answer to a good one', async (context) => {
  const emulator = await emulate(context);
  const ask = async (token: string) =>
    errorOf(
      await call(emulator.urls.arm, `${pool1}?api-version=2026-04-01`, { headers: { authorization: `Bearer ${token}` }, ca: emulator.ca }),
    );
  for (const get of [() => signIn(emulator), () => imds(emulator.urls.imds)]) {
    emulator.addFault({ fault: 'bad-token' });
    assert.equal((await ask(tokenOf(await get()))).code, 'ExpiredAuthenticationToken');
    emulator.addFault({ fault: 'bad-token', audience: 'api://else' });
    assert.match((await ask(tokenOf(await get()))).message, /wrong audience or resource 'api:\/\/else'/);
    assert.equal((await ask(tokenOf(await get()))).status, 200, 'once');
  }
  emulator.addFault({ fault: 'unauthorized' });
  const good = tokenOf(await signIn(emulator));
  assert.deepEqual([(await ask(good)).status, (await ask(good)).status], [401, 200]);
});
