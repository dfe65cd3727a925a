import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { HostTokenRequest } from '../../api/broker.ts';
import { createFakeClock } from '../../common/testing/fake-clock.ts';
import type { FetchOptions } from '../http.ts';
import { readHostSettings } from '../settings.ts';
import { createTestLog, hang, json, row } from '../testing/fixtures.ts';
import { createEndpoint } from './endpoint.ts';

const pem = '-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----';
const flags = ['--broker-url=https://broker.test:9443', '--broker-ip=10.0.0.9', '--broker-ca-file=/ca', '--broker-token-file=/t'];
type Responder = (url: URL, options: FetchOptions) => Response | Promise<Response>;

function startEndpoint(more: readonly string[] = []) {
  const clock = createFakeClock();
  const { log, lines } = createTestLog();
  const sent: { imds: URL[]; broker: { url: URL; options: FetchOptions; body: HostTokenRequest }[] } = { imds: [], broker: [] };
  const tokenFor = (name: string) => ({
    access_token: `token-of-${name}`,
    client_id: `client-of-${name}`,
    expires_in: '86400',
    expires_on: String(Math.floor(clock.wall() / 1000) + 86_400),
    ext_expires_in: '86400',
    not_before: String(Math.floor(clock.wall() / 1000)),
    resource: 'r',
    token_type: 'Bearer',
  });
  const respond: { broker: Responder; imds: Responder } = {
    broker: () => json({ identity: row('a') }),
    imds: () => json(tokenFor('a')),
  };
  const files = { ca: pem, token: 'bound-1\n' };
  const endpoint = createEndpoint(readHostSettings([...flags, ...more]), {
    clock,
    random: () => 0.5,
    log,
    readCa: async () => files.ca,
    readToken: async () => files.token,
    async fetch(href, options) {
      const url = new URL(href);
      if (url.protocol === 'http:') {
        sent.imds.push(url);
        return respond.imds(url, options);
      }
      sent.broker.push({ url, options, body: JSON.parse(options.body ?? '') });
      return respond.broker(url, options);
    },
  });
  const kept = { open: 0 };
  const ask = ({ target = '/host/token/?resource=r', pod = 'app-0', from = '127.0.0.1', signal = new AbortController().signal } = {}) =>
    endpoint.handle({ url: `http://localhost:2579${target}`, headers: new Headers({ podns: 'team', podname: pod }), from, signal }, () => {
      kept.open += 1;
    });
  /** The response, if it has come after `ms`. */
  const after = async (ms: number, pending: Promise<Response>) => {
    let settled = false;
    void pending.then(() => {
      settled = true;
    });
    await clock.advance(ms);
    return settled ? pending : undefined;
  };
  return { clock, lines, sent, respond, files, endpoint, ask, after, kept, tokenFor };
}

const brokerError = (status: number, code: string, message = code) => json({ error: { code, message } }, status);

describe('the node endpoint', () => {
  it('gives the token of IMDS in the form of NMI, for the identity of the broker', async () => {
    const { ask, sent, files, kept, clock } = startEndpoint();
    const response = await ask();
    assert.equal(response.status, 200);
    assert.equal(response.headers.get('content-type'), 'application/json');
    const seconds = Math.floor(clock.wall() / 1000);
    assert.equal(
      await response.text(),
      `{"token":{"access_token":"token-of-a","refresh_token":"","expires_in":"86400","expires_on":"${seconds + 86_400}",` +
        `"not_before":"${seconds}","resource":"r","token_type":"Bearer"},"clientid":"client-of-a"}`,
    );
    const [call] = sent.broker;
    assert.equal(call?.url.href, 'https://10.0.0.9:9443/v1/host-token');
    assert.deepEqual(call?.body, { namespace: 'team', pod: 'app-0', resource: 'r', wait: 44 });
    assert.equal(call?.options.headers.authorization, 'Bearer bound-1');
    assert.deepEqual(call?.options.tls, { ca: files.ca, serverName: 'broker.test' });
    assert.deepEqual(
      sent.imds.map((url) => url.searchParams.get('msi_res_id')),
      [row('a').resourceID],
    );
    assert.equal(kept.open, 1);
  });

  it('asks the broker each time, and IMDS once for many pods with one identity', async () => {
    const { ask, sent, files } = startEndpoint();
    const first = await Promise.all([ask(), ask({ pod: 'app-1' }), ask({ pod: 'app-2' })]);
    assert.deepEqual(
      first.map(({ status }) => status),
      [200, 200, 200],
    );
    files.token = 'bound-2\n';
    files.ca = `${pem}\n${pem}`;
    assert.equal((await ask()).status, 200);
    assert.equal(sent.broker.length, 4);
    assert.deepEqual(sent.broker[3]?.options.tls?.ca, files.ca);
    assert.equal(sent.broker[3]?.options.headers.authorization, 'Bearer bound-2');
    assert.equal(sent.imds.length, 1);
  });

  it('gives the token that the broker made, and asks IMDS nothing', async () => {
    const { ask, sent, respond, tokenFor } = startEndpoint();
    for (const identity of [row('sp', { type: 1 }), row('sp', { source: 'broker' })]) {
      respond.broker = () => json({ identity, token: tokenFor('sp') });
      const body = JSON.parse(await (await ask()).text());
      assert.deepEqual([body.token.access_token, body.clientid], ['token-of-sp', 'client-of-sp']);
      respond.broker = () => json({ identity });
      assert.equal((await ask()).status, 403, 'never the token of IMDS in its place');
    }
    assert.equal(sent.imds.length, 0);
  });

  it('lets the broker hold a request for two minutes at most', async () => {
    const { ask, sent } = startEndpoint(['--request-deadline=200']);
    await ask();
    assert.equal(sent.broker[0]?.body.wait, 120);
  });

  it('passes on which identity is asked for', async () => {
    const { ask, sent } = startEndpoint();
    await ask({ target: '/host/token?resource=r&client_id=c' });
    assert.deepEqual(sent.broker[0]?.body.selector, { name: 'client_id', value: 'c' });
  });

  it('answers errors as plain text with the statuses of NMI', async () => {
    const { ask, respond } = startEndpoint();
    const cases: [answer: Parameters<typeof brokerError>, status: number][] = [
      [[404, 'not_found', 'pod team/app-0 has no identity'], 404],
      [[400, 'token_failed', 'AADSTS7000215'], 403],
      [[400, 'bad_request', 'resource is too long'], 400],
    ];
    for (const [answer, status] of cases) {
      respond.broker = () => brokerError(...answer);
      const response = await ask();
      assert.equal(response.status, status);
      assert.equal(response.headers.get('content-type'), 'text/plain; charset=utf-8');
      assert.equal(response.headers.get('x-content-type-options'), 'nosniff');
      assert.equal(await response.text(), `${answer[2]}\n`);
    }
  });

  it('answers 403 where IMDS refuses', async () => {
    const { ask, respond, after } = startEndpoint();
    respond.imds = () => json({ error: 'invalid_resource', error_description: 'no such resource' }, 400);
    const response = await after(0, ask());
    assert.equal(response?.status, 403);
    assert.match((await response?.text()) ?? '', /AzureIdentity team\/a .* from IMDS: no such resource/);
  });

  it('answers 503 with Retry-After at the deadline while the identity is pending', async () => {
    const { ask, sent, respond, after, clock } = startEndpoint();
    respond.broker = async (_url, options) => {
      const { wait = 0 } = JSON.parse(options.body ?? '') as HostTokenRequest;
      await new Promise<void>((resolve) => clock.after(wait * 1000, resolve));
      return brokerError(503, 'not_ready', 'AzureIdentity team/a is pending');
    };
    const pending = ask();
    assert.equal(await after(43_000, pending), undefined);
    const response = await after(2_500, pending);
    assert.equal(response?.status, 503);
    assert.equal(response?.headers.get('retry-after'), '5');
    assert.match((await response?.text()) ?? '', /AzureIdentity team\/a is pending/);
    assert.ok(sent.broker.length <= 3, 'the broker holds the request');
  });

  it('asks again, at either address, until the broker answers', async () => {
    const { ask, sent, respond, after } = startEndpoint();
    const answers: Responder[] = [
      () => Promise.reject(new Error('ConnectionRefused')),
      () => brokerError(503, 'not_ready'),
      () => brokerError(429, 'throttled'),
      () => json('nonsense'),
      () => brokerError(401, 'unauthenticated'),
    ];
    respond.broker = (...given) => (answers.shift() ?? (() => json({ identity: row('a') })))(...given);
    const response = await after(20_000, ask());
    assert.equal(response?.status, 200);
    assert.deepEqual(new Set(sent.broker.map(({ url }) => url.host)), new Set(['10.0.0.9:9443', 'broker.test:9443']));
  });

  it('names the refused address when it gives up, not the name alone', async () => {
    const { ask, respond, after } = startEndpoint();
    respond.broker = ({ host }) =>
      Promise.reject(new Error(host === '10.0.0.9:9443' ? 'ECONNREFUSED: Unable to connect' : 'getaddrinfo EAI_AGAIN broker.test'));
    const response = await after(46_000, ask());
    assert.equal(response?.status, 503);
    assert.match((await response?.text()) ?? '', /does not answer: 10\.0\.0\.9:9443: ECONNREFUSED: .* is a broker pod ready/);
  });

  it('carries what it counted in its next request that gets a response', async () => {
    const { ask, sent, respond, after } = startEndpoint();
    await ask();
    respond.broker = () => Promise.reject(new Error('ECONNREFUSED'));
    await after(60_000, ask());
    const failures = sent.broker.length - 1;
    respond.broker = () => json({ identity: row('a') });
    await ask();
    const counted = sent.broker.map(({ body }) => body.counts?.split(',').sort().join());
    assert.deepEqual(counted.slice(0, 3), [undefined, 'token:1', 'broker_failures:1,token:1']);
    assert.equal(counted.at(-1), `broker_failures:${failures},slow:1,token:1,unavailable:1`);
  });

  it('keeps the CA that it trusts while the file holds none', async () => {
    const { ask, sent, files } = startEndpoint();
    await ask();
    files.ca = '';
    await ask();
    assert.equal(sent.broker[1]?.options.tls?.ca, pem);
  });

  it('gives up for a caller that is gone, and for all when it stops', async () => {
    const { ask, respond, after, endpoint } = startEndpoint();
    respond.broker = (_url, options) => hang(options);
    const leaving = new AbortController();
    const [left, waiting] = [ask({ signal: leaving.signal }), ask()];
    assert.equal(await after(1_000, left), undefined);
    leaving.abort();
    assert.equal((await after(0, left))?.status, 503);
    assert.equal(await after(0, waiting), undefined);
    endpoint.close();
    assert.equal((await after(0, waiting))?.status, 503);
    assert.equal((await after(0, ask()))?.status, 503);
  });

  it('lets 250 requests wait', async () => {
    const { ask, respond, after, endpoint } = startEndpoint();
    respond.broker = (_url, options) => hang(options);
    const waiting = Array.from({ length: 250 }, (_, index) => ask({ pod: `app-${index % 25}` }));
    const tooMany = await after(0, ask({ pod: 'other' }));
    assert.equal(tooMany?.status, 503);
    assert.match((await tooMany?.text()) ?? '', /too many requests wait on this node/);
    endpoint.close();
    await Promise.all(waiting);
  });

  it('lets 20 requests for one pod wait, and serves the others beside them', async () => {
    const { ask, respond, after, endpoint } = startEndpoint();
    respond.broker = (_url, options) => hang(options);
    const gone = new AbortController();
    const left = ask({ signal: gone.signal });
    const waiting = Array.from({ length: 19 }, () => ask());
    const tooMany = await after(0, ask());
    assert.equal(tooMany?.status, 503);
    assert.match((await tooMany?.text()) ?? '', /too many requests wait for pod team\/app-0/);
    gone.abort();
    await left;
    assert.equal(await after(0, ask()), undefined);
    respond.broker = () => json({ identity: row('a') });
    assert.equal((await ask({ pod: 'app-1' })).status, 200);
    endpoint.close();
    await Promise.all(waiting);
  });

  it('logs pod, identity and resource, and never a token', async () => {
    const { ask, lines, respond } = startEndpoint();
    await ask();
    respond.broker = () => brokerError(404, 'not_found');
    await ask();
    assert.match(lines[0] ?? '', /^info token served .*"pod":"team\/app-0","identity":"team\/a","resource":"r"/);
    assert.match(lines[1] ?? '', /^warn no token served .*"status":404/);
    assert.doesNotMatch(lines.join(), /token-of-|bound-/);
  });
});
