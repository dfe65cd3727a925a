// What the emulator must survive: load, and requests that are not what they should be.
import assert from 'node:assert/strict';
import { Agent, request } from 'node:http';
import { connect } from 'node:net';
import { test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { createEngine } from '../../azure/core/engine.ts';
import { createKeyRing } from '../../azure/core/keys.ts';
import { createLog } from '../../azure/core/log.ts';
import { createRandom } from '../../azure/core/random.ts';
import type { Emulator } from '../../azure/emulator.ts';
import { readState } from '../../azure/state/document.ts';
import { pool1, smallAzure, tenant } from './fixtures.ts';
import { emulate } from './harness.ts';
import { arm, call, errorOf, imds, signIn, tokenPath } from './requests.ts';

const unlimited = smallAzure({ settings: { limits: { imds: false, arm: false } } });

/** Status of one token request on a shared pool of connections. */
function ask(base: string, agent: Agent, resource: string): Promise<number> {
  const { hostname, port } = new URL(base);
  const path = `${tokenPath}?api-version=2018-02-01&resource=${resource}`;
  return new Promise((resolve, reject) => {
    const sent = request({ hostname, port, path, headers: { metadata: 'true' }, agent }, (response) => {
      response.resume();
      response.on('end', () => resolve(response.statusCode ?? 0));
    });
    sent.on('error', reject);
    sent.end();
  });
}

test('answers 1 000 slow requests at once', async (context) => {
  const emulator = await emulate(context, { state: unlimited });
  emulator.addFault({ fault: 'latency', service: 'imds', ms: 60_000 });
  const agent = new Agent({ maxSockets: 1000 });
  context.after(() => agent.destroy());
  let arrived = 0;
  const all = emulator.log.waitFor((entry) => entry.kind === 'request' && ++arrived >= 1000);
  const pending = Array.from({ length: 1000 }, () => ask(emulator.urls.imds, agent, 'a'));
  await all;
  emulator.clock.advance(60_000);
  assert.deepEqual(new Set(await Promise.all(pending)), new Set([200]));
});

test('answers all of a burst of 10 000 requests in bounded memory', async (context) => {
  const emulator = await emulate(context, { state: unlimited });
  const agent = new Agent({ keepAlive: true, maxSockets: 64 });
  context.after(() => agent.destroy());
  const statuses = await Promise.all(Array.from({ length: 10_000 }, (_, index) => ask(emulator.urls.imds, agent, `r${index % 6000}`)));
  assert.deepEqual([statuses.length, new Set(statuses)], [10_000, new Set([200])]);
  assert.ok(emulator.log.list().length + emulator.log.dropped >= 10_000);
  assert.ok(emulator.state().tokens.size <= 5000);
});

test('bounds operations and budgets, whatever callers invent', async (context) => {
  const emulator = await emulate(context);
  const keys = { ...(await createKeyRing()), verifies: () => true };
  const log = createLog(1000);
  const state = readState(smallAzure({ settings: { limits: { arm: false }, arm: { operationMs: 0 } } }), emulator.clock.now());
  const engine = createEngine({
    state,
    clock: emulator.clock,
    log,
    keys,
    random: createRandom(1),
    entraUrl: () => '',
    issuerCa: null,
    listenersOf: () => [],
  });
  const now = Math.floor(emulator.clock.now() / 1000);
  const authorization = `Bearer ${keys.sign({ aud: 'https://management.azure.com', exp: now + 3600, nbf: now, tid: tenant, oid: 'o', appid: 'a' })}`;
  const base = { target: '', query: new URLSearchParams('api-version=2026-04-01'), headers: { authorization }, origin: 'https://x' };
  const { signal } = new AbortController();
  for (let count = 0; count < 6000; count += 1)
    await engine.exchange('arm', { ...base, method: 'PATCH', path: pool1, body: '{}' }, signal, null);
  for (let count = 0; count < 6000; count += 1)
    await engine.exchange(
      'arm',
      { ...base, method: 'GET', path: `/subscriptions/s${count}/providers/Microsoft.Compute/virtualMachines`, body: '' },
      signal,
      null,
    );
  const { operations, buckets } = engine.state();
  assert.ok(operations.size <= 5000, `${operations.size} operations`);
  assert.ok(buckets.size <= 10_000, `${buckets.size} buckets`);
  assert.ok(log.list().length <= 1100 && log.dropped > 10_000);
});

/** What comes back for bytes written to a socket as they are. */
function raw(emulator: Emulator, service: 'imds' | 'arm' | 'entra', bytes: string): Promise<string> {
  const { port } = new URL(emulator.urls[service]);
  return new Promise((resolve, reject) => {
    const options = { port: Number(port), host: '127.0.0.1' };
    const socket = service === 'imds' ? connect(options) : connectTls({ ...options, ca: emulator.ca });
    let text = '';
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('utf8');
    });
    socket.on('error', reject);
    socket.on('close', () => resolve(text));
    socket.write(bytes);
  });
}

test('answers 400 to bytes that are not HTTP, and serves the next request', async (context) => {
  const emulator = await emulate(context);
  const host = 'host: x\r\n';
  const bad = [
    '\r\n\r\nnonsense\r\n\r\n',
    'GET / HTTP/9.9\r\n\r\n',
    `GET /\u0000 HTTP/1.1\r\n${host}\r\n`,
    `GET / HTTP/1.1\r\nbad header\r\n\r\n`,
    `POST / HTTP/1.1\r\n${host}content-length: x\r\n\r\n`,
    'GET / HTTP/1.1\r\n\r\n',
  ];
  for (const bytes of bad) {
    assert.match(await raw(emulator, 'imds', bytes), /^HTTP\/1\.1 400 /, JSON.stringify(bytes));
    assert.match(await raw(emulator, 'arm', bytes), /^HTTP\/1\.1 400 /, JSON.stringify(bytes));
  }
  assert.match(await raw(emulator, 'imds', 'nonsense\r\n\r\n'), /"error":"bad_request"/);
  assert.match(await raw(emulator, 'arm', 'nonsense\r\n\r\n'), /"code":"BadRequest"/);
  assert.match(await raw(emulator, 'entra', 'nonsense\r\n\r\n'), /"error":"invalid_request","error_description":"AADSTS90014/);
  assert.match(await raw(emulator, 'imds', `GET / HTTP/1.1\r\n${host}x: ${'a'.repeat(20_000)}\r\n\r\n`), /^HTTP\/1\.1 431 /);
  assert.equal((await imds(emulator.urls.imds)).status, 200);
  assert.equal((await signIn(emulator)).status, 200);
});

test('drops plain HTTP on a TLS port, and serves the next request', async (context) => {
  const emulator = await emulate(context);
  await assert.rejects(call(emulator.urls.arm.replace('https', 'http'), '/'));
  assert.equal((await signIn(emulator)).status, 200);
});

test('answers 413 to a body that is too long', async (context) => {
  const emulator = await emulate(context);
  const send = await arm(emulator);
  const reply = await send('PATCH', pool1, JSON.stringify({ tags: { long: 'x'.repeat(5 * 1024 * 1024) } }));
  assert.equal(reply.status, 413);
  assert.equal((await send('GET', pool1)).status, 200);
});

test('answers the documented error to broken, deep or strange JSON', async (context) => {
  const emulator = await emulate(context);
  const send = await arm(emulator);
  for (const body of [
    '{"identity":',
    '\u0000',
    '['.repeat(200_000),
    '{"identity":[]}',
    '{"identity":{"type":1}}',
    '{"tags":[]}',
    '{"tags":{"a":1}}',
  ]) {
    assert.deepEqual(
      [errorOf(await send('PATCH', pool1, body)).status, errorOf(await send('PATCH', pool1, body)).code],
      [400, 'InvalidRequestContent'],
      body.slice(0, 40),
    );
    emulator.clock.advance(60_000);
  }
  assert.equal(errorOf(await send('PATCH', pool1, '{"sku":{"capacity":-1}}')).code, 'InvalidParameter');
  assert.equal((await send('PATCH', pool1, '{"tags":{"__proto__":"x","constructor":"y"}}')).status, 202);
  emulator.clock.advance(3000);
  assert.deepEqual(Object.keys(JSON.parse((await send('GET', pool1)).text).tags), ['__proto__', 'constructor']);
});

test('refuses malformed JWTs at ARM and Entra', async (context) => {
  const emulator = await emulate(context);
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const strange = [
    '',
    '.',
    '..',
    'a.b.c',
    `${part({})}.${part({})}.x`,
    `${part([])}.${part({})}.eA`,
    `${part({ alg: 'none' })}.${part({})}.eA`,
    `${part({ alg: 'HS256' })}.${part({})}.eA`,
    `%%.%%.%%`,
    'a'.repeat(10_000),
  ];
  for (const token of strange) {
    assert.equal(
      (await call(emulator.urls.arm, `${pool1}?api-version=2026-04-01`, { headers: { authorization: `Bearer ${token}` }, ca: emulator.ca }))
        .status,
      401,
      token.slice(0, 40),
    );
    const type = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
    const reply = await signIn(emulator, { client_secret: null, client_assertion: token, client_assertion_type: type });
    assert.ok(reply.status === 400 || reply.status === 401, `${reply.status}`);
    assert.match(String(reply.json.error_description), /^AADSTS(50027|70021|700027)/);
  }
});

test('refuses malformed forms with AADSTS900144', async (context) => {
  const emulator = await emulate(context);
  const send = (body: string, type: string) =>
    call(emulator.urls.entra, `/${tenant}/oauth2/v2.0/token`, { method: 'POST', body, headers: { 'content-type': type }, ca: emulator.ca });
  const form = 'application/x-www-form-urlencoded';
  for (const [body, type] of [
    ['', form],
    ['&&==%%%', form],
    ['{"grant_type":"client_credentials"}', 'application/json'],
    ['grant_type=client_credentials', 'text/plain'],
    [`grant_type=${'%FF'.repeat(1000)}`, form],
  ] as const) {
    const reply = await send(body, type);
    assert.equal(reply.status, 400);
    assert.match(String(reply.json.error_description), /^AADSTS(900144|70003)/);
  }
});

test('serves others when a caller leaves in the middle', async (context) => {
  const emulator = await emulate(context, { state: unlimited });
  emulator.addFault({ fault: 'latency', service: 'imds', ms: 60_000, count: 20 });
  const { port } = new URL(emulator.urls.imds);
  for (let count = 0; count < 20; count += 1) {
    const arrived = emulator.log.waitFor((entry) => entry.kind === 'request' && entry.query.mark === String(count));
    const socket = connect(Number(port), '127.0.0.1');
    socket.write(`GET ${tokenPath}?api-version=2018-02-01&resource=a&mark=${count} HTTP/1.1\r\nhost: x\r\nmetadata: true\r\n\r\n`);
    await arrived;
    socket.destroy();
  }
  assert.equal((await imds(emulator.urls.imds)).status, 200);
});
