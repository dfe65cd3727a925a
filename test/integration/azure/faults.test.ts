// Faults of transport, IMDS, Entra and the clock.
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test } from 'node:test';
import type { Emulator } from '../../azure/emulator.ts';
import { app, clientIds, idOf, pool1, smallAzure } from './fixtures.ts';
import { emulate } from './harness.ts';
import type { Reply } from './requests.ts';
import { arm, attachedNames, call, claimsOf, errorOf, identityPatch, imds, signIn, tokenOf } from './requests.ts';

const statusOf = async (reply: Promise<Reply>) => (await reply).status;

const unlimited = smallAzure({ settings: { limits: { imds: false, arm: false } } });

/** Resolves when the request with this mark has reached the emulator. */

const arrival = (emulator: Emulator, mark: string) =>
  emulator.log.waitFor((entry) => entry.kind === 'request' && entry.query.mark === mark);

test('latency: delays answers by a given or a usual time, in emulated time', async (context) => {
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

test('hang, half-open, reset, slow-body: lose or delay the answer', async (context) => {
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

test('imds-404: hits three requests', async (context) => {
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

test('imds-410: lasts 70 s of emulated time', async (context) => {
  const emulator = await emulate(context);
  emulator.addFault({ fault: 'imds-410' });
  assert.equal(await statusOf(imds(emulator.urls.imds)), 410);
  emulator.clock.advance(69_999);
  assert.equal(await statusOf(imds(emulator.urls.imds)), 410);
  emulator.clock.advance(1);
  assert.equal(await statusOf(imds(emulator.urls.imds)), 200);
});

test('imds-429: answers the observed body without Retry-After', async (context) => {
  const emulator = await emulate(context);
  emulator.addFault({ fault: 'imds-429' });
  const reply = await imds(emulator.urls.imds);
  assert.deepEqual(
    [errorOf(reply), reply.headers['retry-after']],
    [{ status: 429, code: 'invalid_request', message: 'Temporarily throttled, too many requests' }, undefined],
  );
});

test('imds-500-text: answers text without the name of IMDS', async (context) => {
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

test('identity-not-found: hides one identity; propagationMs delays all', async (context) => {
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

test('refuse: closes the port for a time and opens it at the same address', async (context) => {
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

test('entra-error: hits once or always, one app or all', async (context) => {
  const emulator = await emulate(context);
  emulator.addFault({ fault: 'entra-error', aadsts: 90055, count: 1, retryAfter: 60 });
  assert.deepEqual([await statusOf(signIn(emulator)), await statusOf(signIn(emulator))], [429, 200]);
  const sticky = emulator.addFault({ fault: 'entra-error', aadsts: 7000215, count: null, identity: app.clientId });
  for (let count = 0; count < 3; count += 1) assert.equal(await statusOf(signIn(emulator)), 401);
  assert.equal(emulator.removeFaults(sticky), 1);
  assert.equal(await statusOf(signIn(emulator)), 200);
});

test("clock-skew: makes Entra's clock ten minutes wrong, so ARM refuses its tokens", async (context) => {
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

test('signs new tokens with a new key after a roll, and accepts old ones', async (context) => {
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

test('has one clock for all services, which moves forward and back', async (context) => {
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
