// Contact with the broker: cursor, both addresses, token and CA renewed, outages, and what alone revokes (design 5, broker contact).
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createFakeClock } from '../../common/testing/fake-clock.ts';
import { bodyOf, hang, json, startWorld } from '../proxy/world.testing.ts';
import { createTestLog, identities, row } from '../testing.ts';
import type { FetchOptions } from './broker.ts';
import { createBroker } from './broker.ts';
import { pollIdentities } from './poll.ts';
import { createIdentityStore } from './store.ts';

type Answer = (url: URL, options: FetchOptions) => Response | Promise<Response>;

function setup(first: Answer, address: string | undefined = '10.0.0.9:9443') {
  const clock = createFakeClock();
  const { log, lines } = createTestLog();
  const asked: { url: URL; options: FetchOptions; at: number }[] = [];
  const script = { answer: first };
  const fetch = async (href: string, options: FetchOptions) => {
    const url = new URL(href);
    asked.push({ url, options, at: clock.now() });
    return script.answer(url, options);
  };
  let reads = 0;
  const readToken = () => {
    reads += 1;
    return Promise.resolve(` bound-${reads}\n`);
  };
  const broker = createBroker({ fetch, url: 'https://broker.test:9443', address, ca: 'first-ca', readToken, userAgent: 'test', clock });
  const store = createIdentityStore(clock);
  const ending = new AbortController();
  const polling = pollIdentities({ broker, store, clock, random: () => 0.5, log, validCa: (pem) => pem !== '', signal: ending.signal });
  const stop = async () => {
    ending.abort();
    await polling;
    assert.equal(clock.timers, 0, 'nothing is left behind');
  };
  return { clock, lines, asked, script, store, stop };
}
const rows = (etag = '"1"', changes = {}) => json(identities([row('a')], changes), 200, { etag });
const waits = (asked: { url: URL }[]) => asked.map(({ url }) => url.searchParams.get('wait'));

describe('polling the broker', () => {
  it('begins with wait=0, then holds a poll that carries the etag, the cursor and a fresh token', async () => {
    const { clock, asked, script, store, stop } = setup(() => rows('"one"', { asOf: 'cursor-1', caBundle: 'second-ca' }));
    script.answer = (_url, options) => (asked.length === 1 ? rows('"one"', { asOf: 'cursor-1', caBundle: 'second-ca' }) : hang(options));
    await clock.advance(0);
    assert.equal(store.view?.identities[0]?.name, 'a');
    assert.deepEqual(waits(asked), ['0', '110']);
    const [first, second] = asked;
    assert.equal(first?.url.origin, 'https://10.0.0.9:9443');
    assert.deepEqual(
      first?.options.tls,
      { ca: 'first-ca', serverName: 'broker.test' },
      'the name of the URL is what the certificate has to carry',
    );
    assert.equal(first?.options.headers.authorization, 'Bearer bound-1');
    assert.equal(second?.options.headers.authorization, 'Bearer bound-2', 'kubelet renews the file');
    assert.equal(second?.options.headers['if-none-match'], '"one"');
    assert.equal(second?.url.searchParams.get('asOf'), 'cursor-1');
    assert.equal(second?.options.tls?.ca, 'second-ca', 'the answer brings the current CA');
    await stop();
  });

  it('gives a held poll 10 s more than it asked for, then begins anew', async () => {
    const { clock, asked, script, stop } = setup(() => rows());
    script.answer = (_url, options) => (asked.length === 1 ? rows() : hang(options));
    await clock.advance(119_000);
    assert.equal(asked.length, 2);
    await clock.advance(2_000);
    assert.deepEqual(waits(asked).slice(0, 3), ['0', '110', '0']);
    assert.equal(asked[2]?.url.origin, 'https://broker.test:9443', 'the other address');
    await stop();
  });

  it('gives each address 3 s and alternates between them, every few seconds while the app waits for a first list', async () => {
    const { clock, asked, stop, store, lines } = setup((_url, options) => hang(options));
    await clock.advance(3_100);
    assert.deepEqual(
      asked.map(({ url }) => url.host),
      ['10.0.0.9:9443', 'broker.test:9443'],
    );
    await clock.advance(600_000);
    const hosts = asked.map(({ url }) => url.host);
    assert.ok(hosts.every((host, index) => (host === '10.0.0.9:9443') === (index % 2 === 0)));
    assert.ok(asked.length > 100 && asked.length < 250, `${asked.length} tries in ten minutes`);
    assert.match(store.trouble ?? '', /no answer in time/);
    assert.equal(lines.filter((line) => line.startsWith('warn')).length, 1, 'an outage is told once');
    await stop();
  });

  it('keeps what it knows during hours of outage and takes up where it was', async () => {
    const { clock, asked, script, store, stop } = setup(() => rows());
    script.answer = (_url, options) => (asked.length === 1 ? rows() : hang(options));
    await clock.advance(0);
    script.answer = () => Promise.reject(new Error('ConnectionRefused'));
    await clock.advance(5 * 3_600_000);
    assert.ok(asked.length < 5 * 600, `${asked.length} tries in five hours: it slows down where there is a list`);
    assert.equal(store.view?.identities.length, 1);
    script.answer = (url, options) => (url.searchParams.get('wait') === '0' ? new Response(null, { status: 304 }) : hang(options));
    await clock.advance(60_000);
    assert.equal(store.trouble, undefined);
    assert.equal(clock.now() - (store.view?.confirmedAt ?? 0) < 60_000, true);
    await stop();
  });

  for (const [status, code] of [
    [403, 'pod_gone'],
    [404, 'pod_mismatch'],
    [403, 'not_participating'],
  ] as const) {
    it(`revokes at ${status} ${code}, and comes back when the broker does`, async () => {
      const { clock, script, store, stop, asked } = setup(() => rows());
      await clock.advance(0);
      script.answer = () => json({ error: { code, message: 'm' } }, status);
      await clock.advance(120_000);
      assert.deepEqual(store.view?.revoked, { code, message: 'm' });
      assert.deepEqual(store.view?.identities, []);
      const count = asked.length;
      script.answer = (_url, options) => (asked.length === count + 1 ? rows() : hang(options));
      await clock.advance(31_000);
      assert.equal(store.view?.revoked, undefined);
      assert.equal(store.view?.identities.length, 1);
      await stop();
    });
  }

  it('takes nothing else for a revocation', async () => {
    for (const refusal of [
      () => json({ error: { code: 'unauthenticated', message: '' } }, 401),
      () => json({ error: { code: 'unauthenticated', message: '' } }, 403),
      () => json({ error: { code: 'pod_gone', message: '' } }, 500),
      () => json({ error: { code: 'not_found', message: '' } }, 404),
      () => new Response('<html>pod_gone</html>', { status: 403 }),
      () => json({ error: { code: 'not_ready', message: '' } }, 503),
      () => json({ pod: {} }),
      () => json([]),
      () => json({ ...identities([]), identities: [{ ...row('a'), state: 'Unassigned' }] }),
      () => new Response(null, { status: 302, headers: { location: 'https://evil.example' } }),
    ]) {
      const { clock, script, store, stop, asked } = setup(() => rows());
      script.answer = (_url, options) => (asked.length === 1 ? rows() : hang(options));
      await clock.advance(0);
      script.answer = refusal;
      await clock.advance(300_000);
      assert.equal(store.view?.identities.length, 1);
      assert.notEqual(store.trouble, undefined);
      await stop();
    }
  });

  it('does not run in a circle around a broker that never holds a poll', async () => {
    const { clock, asked, script, stop } = setup(() => rows());
    script.answer = () => (asked.length === 1 ? rows() : new Response(null, { status: 304 }));
    await clock.advance(60_000);
    assert.ok(asked.length < 20, `${asked.length} requests a minute`);
    await stop();
  });

  it('never logs a token', async () => {
    const { clock, script, lines, stop } = setup(() => rows());
    await clock.advance(0);
    script.answer = () => Promise.reject(new Error('refused'));
    await clock.advance(60_000);
    assert.ok(lines.length > 0);
    assert.ok(lines.every((line) => !line.includes('bound-')));
    await stop();
  });
});

describe('identities that nobody confirms', () => {
  it('serve cached tokens after --identity-ttl, but fetch no new ones', async () => {
    const world = await startWorld(['--identity-ttl=3600']);
    await world.bind([row('a')]);
    await world.token('resource=known');
    world.answers.poll = () => Promise.reject(new Error('ConnectionRefused'));
    await world.clock.advance(2 * 3_600_000);
    assert.equal((await world.token('resource=known')).status, 200);
    const answer = await world.after(46_000, world.token('resource=new'));
    assert.equal(answer?.status, 503);
    assert.match(
      (await bodyOf(answer)).error_description ?? '',
      /new tokens are not fetched: .* last confirmed .* 72\d\d s ago: .*ConnectionRefused/,
    );
    assert.equal(world.asked.imds.length, 1);
    await world.proxy.close();
  });

  it('are gone at once, with a fetch in flight discarded, when the broker drops them', async () => {
    const world = await startWorld();
    await world.bind([row('a'), row('b')]);
    let release = (_response: Response) => {};
    world.answers.imds = () =>
      new Promise((resolve) => {
        release = resolve;
      });
    const held = world.token('resource=r&client_id=client-of-b');
    await world.clock.advance(100);
    await world.bind([row('a')]);
    release(world.goodToken(new URL('http://x/?msi_res_id=b')));
    const answer = await world.after(6000, held);
    assert.equal(answer?.status, 400, 'never the token');
    assert.match((await bodyOf(answer)).error_description ?? '', /^Identity not found/);
    await world.proxy.close();
  });
});
