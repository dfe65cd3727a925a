// The control address: docs/emulator.md#control-address.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Emulator } from '../../azure/emulator.ts';
import { clientIds, idOf, pool1, smallAzure } from './fixtures.ts';
import { emulate } from './harness.ts';
import { arm, call, identityPatch, imds } from './requests.ts';

const control = (emulator: Emulator, method: string, path: string, body?: unknown) =>
  call(emulator.urls.control, path, {
    method,
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });

const entriesOf = (reply: { text: string }): { seq: number; kind: string; what?: string; service?: string; cause?: number }[] =>
  JSON.parse(reply.text).entries;

test('GET /requests returns the ordered log, selected by since, service and kind', async (context) => {
  const emulator = await emulate(context);
  const send = await arm(emulator);
  await send('PATCH', pool1, identityPatch('UserAssigned', ['writer']));
  await imds(emulator.urls.imds, {}, {});
  emulator.clock.advance(3000);
  const entries = entriesOf(await control(emulator, 'GET', '/requests'));
  assert.deepEqual(
    entries.map((entry) => entry.seq),
    entries.map((_, index) => index + 1),
  );
  assert.deepEqual(
    entries.map((entry) => entry.what?.replace(/operation \S+/, 'operation ID') ?? entry.service),
    [
      'entra',
      'arm',
      'virtualMachineScaleSets/Pool1: Updating, etag 2, identity UserAssigned [reader writer]',
      'operation ID on virtualmachinescalesets/pool1: InProgress',
      'imds',
      'operation ID on virtualmachinescalesets/pool1: Succeeded',
      'virtualMachineScaleSets/Pool1: Succeeded, etag 3, identity UserAssigned [reader writer]',
    ],
  );
  assert.deepEqual(
    entries.filter((entry) => entry.kind === 'change').map((entry) => entry.cause),
    [2, 2, null, null],
  );
  assert.deepEqual(
    entriesOf(await control(emulator, 'GET', '/requests?since=1&service=arm')).map((entry) => entry.seq),
    [2],
  );
  assert.deepEqual(
    entriesOf(await control(emulator, 'GET', '/requests?since=3&kind=change')).map((entry) => entry.seq),
    [4, 6, 7],
  );
  await control(emulator, 'DELETE', '/requests');
  assert.deepEqual(JSON.parse((await control(emulator, 'GET', '/requests')).text), { last: 7, dropped: 0, entries: [] });
});

test('GET /requests?wait answers as soon as there is a new entry', async (context) => {
  const emulator = await emulate(context);
  const waiting = control(emulator, 'GET', '/requests?since=0&service=imds&wait=30');
  await imds(emulator.urls.imds);
  assert.deepEqual(
    entriesOf(await waiting).map((entry) => entry.service),
    ['imds'],
  );
});

test('PUT /state takes what GET returns; PATCH changes sections', async (context) => {
  const emulator = await emulate(context);
  const before = (await control(emulator, 'GET', '/state')).text;
  const put = await control(emulator, 'PUT', '/state', before);
  assert.deepEqual([put.status, JSON.parse(put.text)], [200, JSON.parse(before)]);
  assert.equal(
    (
      await control(emulator, 'PATCH', '/state', {
        scaleSets: [
          { name: 'Pool1', instances: 1, identity: { type: 'UserAssigned', ids: ['writer'] } },
          { name: 'flex1', orchestration: 'Flexible' },
        ],
      })
    ).status,
    200,
  );
  assert.equal((await imds(emulator.urls.imds, { client_id: clientIds.writer })).status, 200);
  const refused = await control(emulator, 'PUT', '/state', smallAzure({ scaleSets: [{ name: 'x', instances: -1 }] }));
  assert.deepEqual([refused.status, refused.json.error], [400, 'scaleSets[0].instances: must be a whole number of 0 or more, not -1']);
  assert.equal((await imds(emulator.urls.imds, { client_id: clientIds.writer })).status, 200, 'a refused state changes nothing');
});

test('POST, GET and DELETE /faults add, list and remove faults', async (context) => {
  const emulator = await emulate(context);
  const made = JSON.parse((await control(emulator, 'POST', '/faults', [{ fault: 'imds-404' }, { fault: 'conflict' }])).text);
  assert.deepEqual(
    made.faults.map((fault: { id: string }) => fault.id),
    ['fault-1', 'fault-2'],
  );
  assert.equal((await imds(emulator.urls.imds)).status, 404);
  assert.equal((await control(emulator, 'DELETE', '/faults/fault-1')).status, 200);
  assert.equal((await control(emulator, 'DELETE', '/faults/fault-1')).status, 404);
  assert.equal((await imds(emulator.urls.imds)).status, 200);
  assert.deepEqual(
    JSON.parse((await control(emulator, 'GET', '/faults')).text).faults.map((fault: { name: string }) => fault.name),
    ['conflict'],
  );
  assert.deepEqual((await control(emulator, 'DELETE', '/faults')).json, { removed: 1 });
  const refused = await control(emulator, 'POST', '/faults', [{ fault: 'imds-404' }, { fault: 'x' }]);
  assert.equal(refused.status, 400);
  assert.match(String(refused.json.error), /^\[1\]\.fault: must be one of/);
  assert.deepEqual(emulator.removeFaults(), 0, 'all or none');
});

test('POST /clock advances, sets, freezes and runs the clock', async (context) => {
  const emulator = await emulate(context);
  const before = emulator.clock.now();
  assert.equal((await control(emulator, 'POST', '/clock', { advanceMs: 86_400_000 })).json.ms, before + 86_400_000);
  assert.deepEqual((await control(emulator, 'POST', '/clock', { set: '2030-01-01T00:00:00Z' })).json, {
    now: '2030-01-01T00:00:00.000Z',
    ms: Date.UTC(2030, 0),
    frozen: true,
  });
  assert.equal((await control(emulator, 'POST', '/clock', { run: true })).json.frozen, false);
  assert.equal((await control(emulator, 'POST', '/clock', { freeze: true })).json.frozen, true);
  assert.equal((await control(emulator, 'GET', '/clock')).json.ms, emulator.clock.now());
  assert.equal((await control(emulator, 'POST', '/clock', { advance: 1 })).status, 400);
});

test('POST /actions acts as another writer', async (context) => {
  const emulator = await emulate(context);
  assert.equal((await control(emulator, 'POST', '/actions', { do: 'recreate-identity', identity: idOf('reader') })).status, 200);
  assert.equal((await imds(emulator.urls.imds)).status, 400);
  const refused = await control(emulator, 'POST', '/actions', { do: 'wipe', resource: '/nothing' });
  assert.deepEqual([refused.status, refused.json.error], [400, 'resource: there is no scale set or virtual machine "/nothing"']);
});

test('names what the control address does not know', async (context) => {
  const emulator = await emulate(context);
  assert.match(String((await control(emulator, 'GET', '/')).json.error), /^known here: \/requests, \/state/);
  assert.deepEqual(
    [(await control(emulator, 'POST', '/requests', '')).status, (await control(emulator, 'GET', '/state/x')).status],
    [405, 404],
  );
  for (const [path, body] of [
    ['/clock', '{'],
    ['/faults', ''],
    ['/actions', '[]'],
  ] as const)
    assert.equal((await control(emulator, 'POST', path, body)).status, 400, path);
  assert.equal((await control(emulator, 'GET', '/requests?since=x')).status, 400);
});
