import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createFakeClock } from '../../common/testing/fake-clock.ts';
import type { FetchOptions } from '../http.ts';
import { createIdentityStore } from '../identities/store.ts';
import { createTestLog, hang, identities, json, row } from '../testing/fixtures.ts';
import { createBrokerClient } from './client.ts';
import { Counts } from './counts.ts';
import { pollIdentities } from './poll.ts';

type Responder = (url: URL, options: FetchOptions) => Response | Promise<Response>;

function startPolling(first: Responder) {
  const clock = createFakeClock();
  const { log, lines } = createTestLog();
  const requests: { url: URL; options: FetchOptions }[] = [];
  const broker = { respond: first };
  const fetch = async (href: string, options: FetchOptions) => {
    const url = new URL(href);
    requests.push({ url, options });
    return broker.respond(url, options);
  };
  const counts = new Counts();
  let reads = 0;
  const readToken = () => {
    reads += 1;
    return Promise.resolve(` bound-${reads}\n`);
  };
  const client = createBrokerClient({
    fetch,
    clock,
    url: 'https://broker.test:9443',
    address: '10.0.0.9:9443',
    ca: 'first-ca',
    readToken,
    userAgent: 'test',
    onUnreached: () => counts.add('broker_failures'),
  });
  const store = createIdentityStore(clock);
  const stopping = new AbortController();
  const polling = pollIdentities({
    broker: client,
    store,
    counts,
    clock,
    random: () => 0.5,
    log,
    isValidCa: (pem) => pem !== '',
    signal: stopping.signal,
  });
  const stop = async () => {
    stopping.abort();
    await polling;
    assert.equal(clock.timers, 0, 'nothing is left behind');
  };
  return { clock, lines, requests, broker, store, counts, stop };
}

/** Responds to the first poll with one identity and holds the next ones. */
function startPollingAfterFirstList() {
  const harness = startPolling(() => rows());
  harness.broker.respond = (_url, options) => (harness.requests.length === 1 ? rows() : hang(options));
  return harness;
}

const rows = (changes = {}) => json(identities([row('a')], changes), 200, { etag: '"1"' });
const waits = (requests: { url: URL }[]) => requests.map(({ url }) => url.searchParams.get('wait'));

test('polls with wait=0 first, then with etag, cursor, fresh token and new CA', async () => {
  const { clock, requests, broker, store, stop } = startPolling(() => rows());
  broker.respond = (_url, options) => (requests.length === 1 ? rows({ asOf: 'cursor-1', caBundle: 'second-ca' }) : hang(options));
  await clock.advance(0);
  assert.equal(store.view?.identities[0]?.name, 'a');
  assert.deepEqual(waits(requests), ['0', '110']);
  const [first, second] = requests;
  assert.equal(first?.url.origin, 'https://10.0.0.9:9443');
  assert.deepEqual(first?.options.tls, { ca: 'first-ca', serverName: 'broker.test' }, 'the certificate has to have the name of the URL');
  assert.equal(first?.options.headers.authorization, 'Bearer bound-1');
  assert.equal(second?.options.headers.authorization, 'Bearer bound-2', 'kubelet renews the file');
  assert.equal(second?.options.headers['if-none-match'], '"1"');
  assert.equal(second?.url.searchParams.get('asOf'), 'cursor-1');
  assert.equal(second?.options.tls?.ca, 'second-ca');
  await stop();
});

test('aborts a poll 10 s after its time and begins again at the other address', async () => {
  const { clock, requests, stop } = startPollingAfterFirstList();
  await clock.advance(119_000);
  assert.equal(requests.length, 2);
  await clock.advance(2_000);
  assert.deepEqual(waits(requests).slice(0, 3), ['0', '110', '0']);
  assert.equal(requests[2]?.url.origin, 'https://broker.test:9443');
  await stop();
});

test('tries both addresses by turns, for 3 s each, while the broker was never reached', async () => {
  const { clock, requests, stop, store, lines } = startPolling((_url, options) => hang(options));
  await clock.advance(3_100);
  assert.deepEqual(
    requests.map(({ url }) => url.host),
    ['10.0.0.9:9443', 'broker.test:9443'],
  );
  await clock.advance(600_000);
  const hosts = requests.map(({ url }) => url.host);
  assert.ok(hosts.every((host, index) => (host === '10.0.0.9:9443') === (index % 2 === 0)));
  assert.ok(requests.length > 100 && requests.length < 250, `${requests.length} requests in ten minutes`);
  assert.equal(
    store.contactError,
    '10.0.0.9:9443: no answer in time; broker.test:9443: no answer in time. This pod needs egress to TCP 9443: does a network policy deny it?',
  );
  assert.equal(lines.filter((line) => line.startsWith('warn')).length, 1, 'one warning for the outage');
  await stop();
});

test('tells the reason of each address, and forgets them with the next success', async () => {
  const { clock, broker, stop, store } = startPolling((url, options) =>
    url.host === '10.0.0.9:9443' ? hang(options) : Promise.reject(Object.assign(new Error('no such name'), { code: 'ENOTFOUND' })),
  );
  await clock.advance(3_100);
  assert.match(
    store.contactError ?? '',
    /^10\.0\.0\.9:9443: no answer in time; broker\.test:9443: ENOTFOUND: no such name\. .* egress to TCP 9443/,
  );
  broker.respond = (_url, options) => (store.view === undefined ? rows() : hang(options));
  await clock.advance(5_000);
  assert.equal(store.contactError, undefined);
  broker.respond = () => Promise.reject(new Error('ConnectionRefused'));
  await clock.advance(125_000);
  assert.doesNotMatch(store.contactError ?? 'no', /ENOTFOUND|no answer/);
  await stop();
});

for (const [name, respond] of [
  ['answers', () => new Response('', { status: 500 })],
  ['has another certificate', () => Promise.reject(new Error('UNABLE_TO_VERIFY_LEAF_SIGNATURE'))],
] as const)
  test(`does not blame egress when the broker ${name}`, async () => {
    const { clock, stop, store } = startPolling(respond);
    await clock.advance(1_000);
    assert.match(store.contactError ?? '', /^10\.0\.0\.9:9443: (HTTP 500|UNABLE)/);
    assert.doesNotMatch(store.contactError ?? '', /egress/);
    await stop();
  });

test('keeps the identities during hours of outage and asks less often', async () => {
  const { clock, requests, broker, store, stop } = startPollingAfterFirstList();
  await clock.advance(0);
  broker.respond = () => Promise.reject(new Error('ConnectionRefused'));
  await clock.advance(5 * 3_600_000);
  assert.ok(requests.length < 5 * 600, `${requests.length} requests in five hours`);
  assert.equal(store.view?.identities.length, 1);
  broker.respond = (url, options) => (url.searchParams.get('wait') === '0' ? new Response(null, { status: 304 }) : hang(options));
  await clock.advance(60_000);
  assert.equal(store.contactError, undefined);
  assert.equal(clock.now() - (store.view?.confirmedAt ?? 0) < 60_000, true);
  await stop();
});

for (const [status, code] of [
  [403, 'pod_gone'],
  [404, 'pod_mismatch'],
  [403, 'not_participating'],
] as const) {
  test(`revokes the identities at ${status} ${code} until the broker lists them`, async () => {
    const { clock, broker, store, stop, requests } = startPollingAfterFirstList();
    await clock.advance(0);
    broker.respond = () => json({ error: { code, message: 'm' } }, status);
    await clock.advance(120_000);
    assert.deepEqual(store.view?.revoked, { code, message: 'm' });
    assert.deepEqual(store.view?.identities, []);
    const count = requests.length;
    broker.respond = (_url, options) => (requests.length === count + 1 ? rows() : hang(options));
    await clock.advance(31_000);
    assert.equal(store.view?.revoked, undefined);
    assert.equal(store.view?.identities.length, 1);
    await stop();
  });
}

for (const [name, respond] of [
  ['401', () => json({ error: { code: 'unauthenticated', message: '' } }, 401)],
  ['403 with another code', () => json({ error: { code: 'unauthenticated', message: '' } }, 403)],
  ['500 with a revoking code', () => json({ error: { code: 'pod_gone', message: '' } }, 500)],
  ['404 with another code', () => json({ error: { code: 'not_found', message: '' } }, 404)],
  ['403 that is not JSON', () => new Response('<html>pod_gone</html>', { status: 403 })],
  ['503', () => json({ error: { code: 'not_ready', message: '' } }, 503)],
  ['200 without identities', () => json({ pod: {} })],
  ['200 with a list', () => json([])],
  ['200 with a row without a name', () => json({ ...identities([]), identities: [{ ...row('a'), name: undefined }] })],
  ['a redirect', () => new Response(null, { status: 302, headers: { location: 'https://evil.example' } })],
] as const) {
  test(`keeps the identities when the broker answers ${name}`, async () => {
    const { clock, broker, store, stop } = startPollingAfterFirstList();
    await clock.advance(0);
    broker.respond = respond;
    await clock.advance(300_000);
    assert.equal(store.view?.identities.length, 1);
    assert.notEqual(store.contactError, undefined);
    await stop();
  });
}

test('does not flood a broker that holds no poll', async () => {
  const { clock, requests, broker, stop } = startPolling(() => rows());
  broker.respond = () => (requests.length === 1 ? rows() : new Response(null, { status: 304 }));
  await clock.advance(60_000);
  assert.ok(requests.length < 20, `${requests.length} requests a minute`);
  await stop();
});

test('logs no bound token', async () => {
  const { clock, broker, lines, stop } = startPolling(() => rows());
  await clock.advance(0);
  broker.respond = () => Promise.reject(new Error('refused'));
  await clock.advance(60_000);
  assert.ok(lines.length > 0);
  assert.ok(lines.every((line) => !line.includes('bound-')));
  await stop();
});

test('carries counts in each poll until one gets a response', async () => {
  const { clock, requests, broker, counts, stop } = startPollingAfterFirstList();
  const sent = () => requests.map(({ url }) => url.searchParams.get('counts')?.split(',').sort().join());
  await clock.advance(0);
  counts.add('token', 3);
  broker.respond = () => Promise.reject(new Error('ConnectionRefused'));
  await clock.advance(121_000);
  const refused = requests.length;
  counts.add('token');
  broker.respond = (_url, options) => (requests.length === refused + 1 ? rows() : hang(options));
  await clock.advance(30_000);
  // The first two polls began before anything was counted; the held one timed out.
  assert.deepEqual(sent().slice(0, 4), [undefined, undefined, 'broker_failures:1,token:3', 'broker_failures:2,token:3']);
  assert.deepEqual(sent().slice(refused), [`broker_failures:${refused - 1},token:4`, undefined]);
  await stop();
});
