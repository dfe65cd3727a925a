// What faults select by, and how they are set.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { catalog } from '../../azure/faults/catalog.ts';
import { alone, clientIds, idOf, pool1, smallAzure } from './fixtures.ts';
import { emulate } from './harness.ts';
import type { Reply } from './requests.ts';
import { arm, identityPatch, imds, signIn } from './requests.ts';

const unlimited = smallAzure({ settings: { limits: { imds: false, arm: false } } });

test('hits by service, method, path, resource, identity, skip and count', async (context) => {
  const emulator = await emulate(context, { state: unlimited });
  const patch = await arm(emulator);
  const hit = async (scope: Record<string, unknown>, requests: (() => Promise<Reply>)[]) => {
    const id = emulator.addFault({ fault: 'answer', status: 418, ...scope });
    const statuses: number[] = [];
    for (const send of requests) statuses.push((await send()).status);
    emulator.removeFaults(id);
    return statuses.map((status) => status === 418);
  };
  const getSet = () => patch('GET', pool1);
  const getVm = () => patch('GET', alone);
  const patchSet = () => patch('PATCH', pool1, identityPatch('UserAssigned', ['writer']));
  const token = () => imds(emulator.urls.imds);
  const other = () => imds(emulator.urls.imds, { resource: 'api://other' });
  const entra = () => signIn(emulator);
  assert.deepEqual(await hit({ service: 'arm' }, [getSet, token, entra]), [true, false, false]);
  assert.deepEqual(await hit({}, [getSet, token, entra]), [true, true, true]);
  assert.deepEqual(await hit({ method: 'PATCH' }, [getSet, patchSet]), [false, true]);
  assert.deepEqual(await hit({ path: 'virtualmachinescalesets' }, [getSet, getVm]), [true, false]);
  assert.deepEqual(await hit({ resource: pool1.toUpperCase() }, [getSet, getVm, () => patch('GET', `${pool1}/virtualMachines/0`)]), [
    true,
    false,
    true,
  ]);
  assert.deepEqual(await hit({ resource: 'api://other' }, [token, other]), [false, true]);
  assert.deepEqual(await hit({ identity: clientIds.writer }, [getSet, patchSet, token]), [false, true, false]);
  assert.deepEqual(await hit({ identity: idOf('reader') }, [token, () => imds(emulator.urls.imds, { client_id: clientIds.reader })]), [
    true,
    true,
  ]);
  assert.deepEqual(await hit({ skip: 1, count: 2 }, [token, token, token, token]), [false, true, true, false]);
  assert.deepEqual(await hit({ forMs: 0 }, [token]), [false]);
});

test('hits the same requests for the same seed and probability', async (context) => {
  const run = async (seed: number) => {
    const emulator = await emulate(context, { seed, state: unlimited });
    emulator.addFault({ fault: 'imds-429', count: null, probability: 0.5 });
    const statuses: number[] = [];
    for (let count = 0; count < 20; count += 1) statuses.push((await imds(emulator.urls.imds)).status);
    return statuses.join(' ');
  };
  const [first, again, different] = [await run(1), await run(1), await run(2)];
  assert.equal(first, again);
  assert.notEqual(first, different);
  assert.ok(first.includes('429') && first.includes('200'));
});

test('needs only a name and a scope for every kind', async (context) => {
  const emulator = await emulate(context);
  for (const fault of Object.keys(catalog)) {
    const needed =
      {
        'missing-identity': { identity: 'x' },
        'role-missing': { identity: 'x' },
        answer: { status: 500 },
        write: { action: { do: 'roll-keys' } },
      }[fault] ?? {};
    assert.match(emulator.addFault({ fault, path: '/nowhere', ...needed }), /^fault-\d+$/, fault);
  }
  assert.equal(emulator.removeFaults(), Object.keys(catalog).length);
});

test('refuses a wrong fault and names the field', async (context) => {
  const emulator = await emulate(context);
  const table: [Record<string, unknown>, RegExp][] = [
    [{}, /^fault: must be one of "latency"/],
    [{ fault: 'nonsense' }, /^fault: must be one of/],
    [{ fault: 'imds-404', service: 'arm' }, /^service: must be "imds"/],
    [{ fault: 'latency', mss: 1 }, /^mss: is not known here; known: ms, median, p99/],
    [{ fault: 'latency', median: 5 }, /^median: and p99 go together/],
    [{ fault: 'conflict', count: -1 }, /^count: must be a whole number/],
    [{ fault: 'conflict', probability: 2 }, /^probability: must be a number from 0 to 1/],
    [{ fault: 'role-missing' }, /^identity: is needed/],
    [{ fault: 'entra-error', aadsts: 1 }, /^aadsts: must be one of/],
    [{ fault: 'write', action: { do: 'dance' } }, /^action\.do: must be one of/],
    [{ fault: 'answer' }, /^status: is missing/],
  ];
  for (const [document, message] of table) assert.throws(() => emulator.addFault(document), { message }, JSON.stringify(document));
});
