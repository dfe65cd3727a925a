// The fault menu of spec/azure-protocols.md 8.4, one test or more a line, and what faults can be aimed at.
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test } from 'node:test';
import { isRecord } from '../../azure/core/messages.ts';
import type { Emulator } from '../../azure/emulator.ts';
import { menu } from '../../azure/faults/menu.ts';
import type { Reply } from './support.ts';
import {
  alone,
  app,
  arm,
  attachedNames,
  call,
  claimsOf,
  clientIds,
  emulate,
  errorOf,
  identityPatch,
  idOf,
  imds,
  pool1,
  signIn,
  smallAzure,
  tokenOf,
} from './support.ts';

const statusOf = async (reply: Promise<Reply>) => (await reply).status;
const unlimited = smallAzure({ settings: { limits: { imds: false, arm: false } } });

/** Resolves when the request with this mark has reached the emulator. */
const arrival = (emulator: Emulator, mark: string) =>
  emulator.log.waitFor((entry) => entry.kind === 'request' && entry.query.mark === mark);

test('8.4 latency: answers come as late as asked, in emulated time, or as late as the service usually is', async (context) => {
  const emulator = await emulate(context);
  emulator.addFault({ fault: 'latency', service: 'imds', ms: 30_000 });
  const arrived = arrival(emulator, 'slow');
  let answered = false;
  const slow = imds(emulator.urls.imds, { mark: 'slow' }).then((reply) => {
    answered = true;
    return reply.status;
  });
  await arrived;
  emulator.clock.advance(29_999);
  await call(emulator.urls.control, '/clock');
  assert.equal(answered, false);
  emulator.clock.advance(1);
  assert.equal(await slow, 200);

  emulator.removeFaults();
  emulator.addFault({ fault: 'latency', service: 'imds' });
  const usual = imds(emulator.urls.imds, { mark: 'usual' });
  const entry = await arrival(emulator, 'usual');
  assert.ok(entry.kind === 'request' && entry.status === null, 'its usual slowness: some delay');
  emulator.clock.advance(60_000);
  assert.equal((await usual).status, 200);
});

test('8.4 hang, half-open, reset, slow body: the answer is lost on its way, before or after the work was done', async (context) => {
  const emulator = await emulate(context, { state: unlimited });
  const patch = await arm(emulator);
  for (const processed of [false, true]) {
    emulator.addFault({ fault: 'reset', method: 'write', count: 1, processed });
    await assert.rejects(patch('PATCH', pool1, identityPatch('UserAssigned', ['writer'])), { code: 'ECONNRESET' });
    assert.deepEqual(attachedNames(await patch('GET', pool1)), processed ? ['reader', 'writer'] : ['reader'], `processed ${processed}`);
  }
  emulator.addFault({ fault: 'reset', service: 'imds', count: 1 });
  await assert.rejects(imds(emulator.urls.imds), { code: 'ECONNRESET' });

  emulator.addFault({ fault: 'half-open', service: 'imds', count: 1 });
  const { port } = new URL(emulator.urls.imds);
  const socket = connect(Number(port), '127.0.0.1');
  context.after(() => socket.destroy());
  socket.write('GET /metadata/identity/oauth2/token?api-version=2018-02-01&resource=a HTTP/1.1\r\nhost: x\r\nmetadata: true\r\n\r\n');
  const received = await new Promise<string>((resolve) => {
    let text = '';
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('utf8');
      if (text.includes('access_token')) resolve(text);
    });
  });
  const [head = '', body = ''] = received.split('\r\n\r\n');
  assert.equal(body.length, Math.floor(Number(/content-length: (\d+)/.exec(head)?.[1]) / 2), 'half of what it promises, and then nothing');

  emulator.addFault({ fault: 'hang', service: 'imds', count: 1 });
  const hanging = imds(emulator.urls.imds, { mark: 'hanging' });
  const entry = await arrival(emulator, 'hanging');
  assert.ok(entry.kind === 'request' && entry.status === null);
  assert.equal(await statusOf(imds(emulator.urls.imds)), 200, 'others go on');

  emulator.addFault({ fault: 'slow-body', service: 'imds', count: 1, ms: 5000 });
  const began = arrival(emulator, 'body');
  const slow = imds(emulator.urls.imds, { mark: 'body' });
  await began;
  await emulator.log.waitFor((one) => one.kind === 'request' && one.query.mark === 'body' && one.status === 200);
  // The sleep for the second half begins after the answer is logged: a jump in steps meets it in any case.
  const ticks = setInterval(() => emulator.clock.advance(5000), 20);
  assert.match(tokenOf(await slow), /^ey/);
  clearInterval(ticks);
  const ended = assert.rejects(hanging, { code: 'ECONNRESET' });
  await emulator.stop();
  await ended;
});

test('8.4 IMDS 404 burst: three answers, then it is over', async (context) => {
  const emulator = await emulate(context);
  emulator.addFault({ fault: 'imds-404' });
  const seen: Reply[] = [];
  for (let count = 0; count < 4; count += 1) seen.push(await imds(emulator.urls.imds));
  assert.deepEqual(
    seen.map((reply) => [reply.status, reply.json.error]),
    [
      [404, 'not_found'],
      [404, 'not_found'],
      [404, 'not_found'],
      [200, undefined],
    ],
  );
  assert.match(seen[0]?.headers.server ?? '', /^IMDS\//);
});

test('8.4 IMDS 410 window: 70 s of emulated time', async (context) => {
  const emulator = await emulate(context);
  emulator.addFault({ fault: 'imds-410' });
  assert.equal(await statusOf(imds(emulator.urls.imds)), 410);
  emulator.clock.advance(69_999);
  assert.equal(await statusOf(imds(emulator.urls.imds)), 410);
  emulator.clock.advance(1);
  assert.equal(await statusOf(imds(emulator.urls.imds)), 200);
});

test('8.4 IMDS 429, forced: the observed body and no Retry-After', async (context) => {
  const emulator = await emulate(context);
  emulator.addFault({ fault: 'imds-429' });
  const reply = await imds(emulator.urls.imds);
  assert.deepEqual(
    [errorOf(reply), reply.headers['retry-after']],
    [{ status: 429, code: 'invalid_request', message: 'Temporarily throttled, too many requests' }, undefined],
  );
});

test('8.4 IMDS 500 in text, without the IMDS name', async (context) => {
  const emulator = await emulate(context);
  emulator.addFault({ fault: 'imds-500-text', count: 5 });
  for (let count = 0; count < 5; count += 1) {
    const reply = await imds(emulator.urls.imds);
    assert.deepEqual(
      [reply.status, reply.headers['content-type'], (reply.headers.server ?? '').includes('IMDS/')],
      [500, 'text/plain; charset=utf-8', false],
    );
  }
  assert.equal(await statusOf(imds(emulator.urls.imds)), 200);
});

test('8.4 IMDS propagation lag: a fixed or drawn delay after the operation, or one identity that is not found for a while', async (context) => {
  const emulator = await emulate(context, { state: smallAzure({ settings: { propagationMs: { min: 10_000, max: 60_000 } } }) });
  const patch = await arm(emulator);
  await patch('PATCH', pool1, identityPatch('UserAssigned', ['writer']));
  emulator.clock.advance(3000 + 9999);
  assert.equal(await statusOf(imds(emulator.urls.imds, { client_id: clientIds.writer })), 400);
  emulator.clock.advance(50_001);
  assert.equal(await statusOf(imds(emulator.urls.imds, { client_id: clientIds.writer })), 200);
  emulator.addFault({ fault: 'identity-not-found', identity: idOf('writer'), forMs: 60_000 });
  assert.equal(errorOf(await imds(emulator.urls.imds, { client_id: clientIds.writer })).message, 'Identity not found');
  assert.equal(await statusOf(imds(emulator.urls.imds, { client_id: clientIds.reader })), 200);
  emulator.clock.advance(60_000);
  assert.equal(await statusOf(imds(emulator.urls.imds, { client_id: clientIds.writer })), 200);
});

test('8.4 connection refused: the port is closed for its time, and open on the same address afterwards', async (context) => {
  const emulator = await emulate(context);
  const closed = emulator.addFault({ fault: 'refuse', service: 'imds', forMs: 5000 });
  await emulator.log.waitFor((entry) => entry.kind === 'change' && entry.what === 'imds refuses connections');
  await assert.rejects(imds(emulator.urls.imds), { code: 'ECONNREFUSED' });
  assert.equal(await statusOf(signIn(emulator)), 200, 'the other services stay');
  emulator.clock.advance(5000);
  await emulator.log.waitFor((entry) => entry.kind === 'change' && entry.what === 'imds takes connections');
  assert.equal(await statusOf(imds(emulator.urls.imds)), 200);
  assert.equal(emulator.removeFaults(closed), 0, 'it has ended by itself');
});

test('8.4 Entra errors: one-shot or sticky, for one app or all', async (context) => {
  const emulator = await emulate(context);
  emulator.addFault({ fault: 'entra-error', aadsts: 90055, count: 1, retryAfter: 60 });
  assert.deepEqual([await statusOf(signIn(emulator)), await statusOf(signIn(emulator))], [429, 200]);
  const sticky = emulator.addFault({ fault: 'entra-error', aadsts: 7000215, count: null, identity: app.clientId });
  for (let count = 0; count < 3; count += 1) assert.equal(await statusOf(signIn(emulator)), 401);
  assert.equal(emulator.removeFaults(sticky), 1);
  assert.equal(await statusOf(signIn(emulator)), 200);
});

test("8.4 clock skew: Entra's clock is ten minutes off, so what ARM thinks of its tokens changes", async (context) => {
  const emulator = await emulate(context);
  const ask = async () => {
    const token = tokenOf(await signIn(emulator));
    const reply = await call(emulator.urls.arm, `${pool1}?api-version=2026-04-01`, {
      headers: { authorization: `Bearer ${token}` },
      ca: emulator.ca,
    });
    return { status: reply.status, issued: claimsOf(token).iat };
  };
  const now = Math.floor(emulator.clock.now() / 1000);
  emulator.addFault({ fault: 'clock-skew', service: 'entra', ms: 600_000 });
  assert.deepEqual(await ask(), { status: 401, issued: now + 600 });
  emulator.removeFaults();
  emulator.addFault({ fault: 'clock-skew', service: 'entra', ms: -600_000 });
  assert.deepEqual(await ask(), { status: 200, issued: now - 600 });
});

test('8.4 key roll: new tokens by a new key, old ones still good', async (context) => {
  const emulator = await emulate(context);
  const old = tokenOf(await signIn(emulator));
  await emulator.act({ do: 'roll-keys' });
  const fresh = tokenOf(await signIn(emulator));
  assert.notEqual(old.split('.')[0], fresh.split('.')[0]);
  for (const token of [old, fresh])
    assert.equal(
      await statusOf(
        call(emulator.urls.arm, `${pool1}?api-version=2026-04-01`, { headers: { authorization: `Bearer ${token}` }, ca: emulator.ca }),
      ),
      200,
    );
});

test('8.4 operation time: drawn from a range by kind, a long tail, or never', async (context) => {
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

test('8.4 operation end: Failed, Canceled, 404 on its URL, 5xx while polling', async (context) => {
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

test('8.4 conflict: 409 and 412 so many times, and an operation that is preempted', async (context) => {
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

test('8.4 throttling: 429 with and without Retry-After, on one resource only', async (context) => {
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

test('8.4 partial failure: one bad identity, or one role missing, in a batch', async (context) => {
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

test('8.4 foreign writer: wipe, etag race, capacity, deletion, at the moment of a request', async (context) => {
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

test('8.4 authorisation: a role taken away, a deny assignment, while it runs', async (context) => {
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

test('8.4 an expired token, or one for somebody else, once, from Entra and from IMDS; ARM that refuses a good one', async (context) => {
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

test('8.4 clock: one for all three services, forward 12 and 24 hours and back 5 minutes', async (context) => {
  const emulator = await emulate(context);
  const left = async () => Number((await imds(emulator.urls.imds)).json.expires_in);
  const first = tokenOf(await imds(emulator.urls.imds));
  emulator.clock.advance(6 * 3600_000);
  assert.equal(await left(), 18 * 3600);
  emulator.clock.advance(-300_000);
  assert.equal(await left(), 18 * 3600 + 300);
  emulator.clock.advance(24 * 3600_000);
  assert.equal(await left(), 24 * 3600);
  assert.notEqual(tokenOf(await imds(emulator.urls.imds)), first);
  const token = tokenOf(await signIn(emulator));
  assert.equal(claimsOf(token).iat, Math.floor(emulator.clock.now() / 1000));
  const reply = await imds(emulator.urls.imds);
  assert.equal(Date.parse(reply.headers.date ?? ''), Math.floor(emulator.clock.now() / 1000) * 1000);
  emulator.clock.advance(12 * 3600_000);
  const refused = await call(emulator.urls.arm, `${pool1}?api-version=2026-04-01`, {
    headers: { authorization: `Bearer ${token}` },
    ca: emulator.ca,
  });
  assert.equal(errorOf(refused).code, 'ExpiredAuthenticationToken');
});

test('8.4 scope: service, method, path, resource, identity, skip, count; and a fault can be removed', async (context) => {
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

test('8.4 probability: the same seed meets the same requests', async (context) => {
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

test('8.4 every entry of the menu works by its name and a scope alone', async (context) => {
  const emulator = await emulate(context);
  for (const fault of Object.keys(menu)) {
    const needed =
      {
        'missing-identity': { identity: 'x' },
        'role-missing': { identity: 'x' },
        answer: { status: 500 },
        write: { action: { do: 'roll-keys' } },
      }[fault] ?? {};
    assert.match(emulator.addFault({ fault, path: '/nowhere', ...needed }), /^fault-\d+$/, fault);
  }
  assert.equal(emulator.removeFaults(), Object.keys(menu).length);
});

test('8.4 a wrong fault is refused with the name of what is wrong', async (context) => {
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
