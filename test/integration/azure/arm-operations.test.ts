// Etags, long-running operations and their concurrency: rows A6 to A9 of docs/emulator.md.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isRecord } from '../../azure/core/messages.ts';
import { alone, clientIds, group, pool1, smallAzure, subscription } from './fixtures.ts';
import { emulate } from './harness.ts';
import type { Reply } from './requests.ts';
import { arm, attachedNames, errorOf, identityPatch, imds } from './requests.ts';

function propertiesOf(reply: Reply): Record<string, unknown> {
  return isRecord(reply.json.properties) ? reply.json.properties : {};
}

test('A6: counts the etag up on accept and on completion, as configured', async (context) => {
  for (const [etagBump, accepted, completed] of [
    ['both', '"2"', '"3"'],
    ['accept', '"2"', '"2"'],
    ['completion', '"1"', '"2"'],
  ]) {
    const emulator = await emulate(context, { state: smallAzure({ settings: { arm: { etagBump } } }) });
    const call = await arm(emulator);
    assert.equal((await call('GET', pool1)).json.etag, '"1"');
    assert.equal((await call('PATCH', pool1, identityPatch('UserAssigned', ['writer']))).json.etag, accepted, String(etagBump));
    emulator.clock.advance(3000);
    assert.equal((await call('GET', pool1)).json.etag, completed, String(etagBump));
  }
});

test('A6: answers 412 when If-Match or If-None-Match does not hold', async (context) => {
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

test('A6: has no etag before api-version 2024-03-01, or when switched off', async (context) => {
  const emulator = await emulate(context);
  const call = await arm(emulator);
  assert.equal((await call('GET', pool1, undefined, { apiVersion: '2023-09-01' })).json.etag, undefined);
  assert.equal((await call('PATCH', pool1, {}, { apiVersion: '2023-09-01', headers: { 'if-match': '"9"' } })).status, 202);
  emulator.patchState({ settings: { arm: { etags: false } } });
  assert.equal((await call('GET', pool1)).json.etag, undefined);
});

test('A7: accepts a write with the headers of its variant, runs it, ends it', async (context) => {
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

test('A7: sends Retry-After as configured, and 404 for an expired operation', async (context) => {
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

test('A8: shows Updating during an operation, and identities at once or at its end', async (context) => {
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

test('A9: queues, refuses or prefers a second write while one runs', async (context) => {
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
