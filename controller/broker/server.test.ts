import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { Agent, request } from 'node:https';
import { afterEach, before, beforeEach, describe, test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { connect } from 'node:tls';
import type { IdentityRow } from '../../api/broker.ts';
import { silentLogger } from '../../lib/log.ts';
import type { KeyAndCertificate } from '../certificates/issue.ts';
import { generateKey, issueAuthority, issueLeaf } from '../certificates/issue.ts';
import { Refusal } from './refusal.ts';
import type { Report } from './report.ts';
import type { Broker, BrokerOptions } from './server.ts';
import { startBroker } from './server.ts';
import type { Signer } from './testing/cluster-tokens.ts';
import { boundTo, fakeApi, mint, pod, signer } from './testing/cluster-tokens.ts';
import type { BrokerView, PodView, Seen } from './view.ts';

const name = 'broker.home.svc';
const podPath = '/api/v1/namespaces/team/pods/app-0';
const row: IdentityRow = {
  name: 'id',
  namespace: 'team',
  binding: 'team/bind',
  type: 0,
  clientID: 'c',
  resourceID: '/r',
  state: 'Created',
};

function fakeView() {
  const listeners = new Set<(podKey: string) => void>();
  const catchingUp = new Set<() => void>();
  const pods = new Map<string, PodView>();
  const state = { synced: true, version: 5 };
  const view: BrokerView = {
    get synced() {
      return state.synced;
    },
    rowsFor: (podKey) => pods.get(podKey),
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    seen: () => ({ pods: String(state.version) }),
    whenSeen: (seen: Seen, signal) =>
      new Promise((resolve, reject) => {
        const check = () => {
          if (state.version >= Number(seen.pods)) resolve();
        };
        catchingUp.add(check);
        signal.addEventListener('abort', () => reject(signal.reason), { once: true });
        check();
      }),
  };
  return {
    view,
    pods,
    state,
    set(podKey: string, value: PodView | undefined) {
      if (value === undefined) pods.delete(podKey);
      else pods.set(podKey, value);
      for (const listener of listeners) listener(podKey);
    },
    advance(version: number) {
      state.version = version;
      for (const check of catchingUp) check();
    },
  };
}

describe('the broker over TLS', () => {
  let tokens: Signer;
  let ca: KeyAndCertificate;
  let leaf: KeyAndCertificate;
  let secondLeaf: KeyAndCertificate;
  let api: ReturnType<typeof fakeApi>;
  let world: ReturnType<typeof fakeView>;
  let published: { leaf: KeyAndCertificate | undefined; caBundle: string | undefined; tell(): void };
  let reports: Report[];
  let broker: Broker;
  let agent: Agent;
  let token: string;
  let ahead: number;
  const now = () => Date.now() + ahead;
  const running: (() => Promise<void>)[] = [];

  const start = async (extra: Partial<BrokerOptions> = {}, first: 'certified' | 'bare' = 'certified') => {
    const listeners = new Set<() => void>();
    published = {
      leaf: first === 'certified' ? leaf : undefined,
      caBundle: ca.certificate,
      tell: () => {
        for (const listener of listeners) listener();
      },
    };
    broker = await startBroker({
      client: api.client,
      log: silentLogger,
      listen: { host: '127.0.0.1', port: 0 },
      view: world.view,
      published: Object.assign(published, {
        onChange: (listener: () => void) => {
          listeners.add(listener);
          return () => listeners.delete(listener);
        },
      }),
      onReport: (report) => reports.push(report),
      now,
      ...extra,
    });
    agent = new Agent({ keepAlive: true, ca: ca.certificate, servername: name });
    const [startedBroker, startedAgent] = [broker, agent];
    running.push(async () => {
      startedAgent.destroy();
      await startedBroker.stop();
    });
  };

  interface Answer {
    status: number;
    headers: Record<string, unknown>;
    body: Record<string, unknown> & { error: { code: string; message: string } };
  }
  const ask = (path: string, options: { headers?: Record<string, string>; body?: unknown; signal?: AbortSignal; agent?: Agent } = {}) =>
    new Promise<Answer>((resolve, reject) => {
      const sent = request(
        {
          host: '127.0.0.1',
          port: broker.port,
          agent: options.agent ?? agent,
          path,
          method: options.body === undefined ? 'GET' : 'POST',
          ...(options.signal === undefined ? {} : { signal: options.signal }),
          headers: {
            authorization: `Bearer ${token}`,
            ...(options.body === undefined ? {} : { 'content-type': 'application/json' }),
            ...options.headers,
          },
        },
        async (response) => {
          let text = '';
          for await (const chunk of response.setEncoding('utf8')) text += chunk;
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text === '' ? undefined : JSON.parse(text) });
        },
      );
      sent.on('error', reject);
      sent.end(options.body === undefined ? undefined : typeof options.body === 'string' ? options.body : JSON.stringify(options.body));
    });
  const hold = async (count: number) => {
    while (broker.heldPolls !== count) await new Promise((resolve) => setImmediate(resolve));
  };
  const refused = (answer: Answer, status: number, code: string) =>
    assert.deepEqual([answer.status, answer.body.error.code], [status, code]);

  before(async () => {
    tokens = await signer('k');
    const issue = async () => ({ now: new Date(), key: await generateKey(), serial: randomBytes(16) });
    ca = issueAuthority(await issue());
    leaf = issueLeaf(ca, [name], await issue());
    secondLeaf = issueLeaf(ca, [name], await issue());
  });
  beforeEach(async () => {
    ahead = 0;
    api = fakeApi();
    api.state.keys = [tokens.jwk];
    world = fakeView();
    world.set('team/app-0', { uid: 'uid-1', excepted: false, identities: [row], defaultIdentity: 'id' });
    reports = [];
    token = await mint(tokens, now());
    await start();
  });
  afterEach(async () => {
    for (let stop = running.pop(); stop !== undefined; stop = running.pop()) await stop();
  });

  test('answers with the pod’s rows, the bundle, a cursor and an ETag; the same again is 304', async () => {
    const first = await ask('/v1/identities');
    assert.equal(first.status, 200);
    const { asOf, ...rest } = first.body;
    assert.equal(typeof asOf, 'string');
    assert.deepEqual(rest, {
      pod: { name: 'app-0', namespace: 'team', uid: 'uid-1', defaultIdentity: 'id' },
      excepted: false,
      caBundle: ca.certificate,
      identities: [row],
    });
    world.advance(9);
    const etag = String(first.headers.etag);
    assert.match(etag, /^"[\w-]{22}"$/);
    for (const known of [etag, `W/${etag}`, `"x", ${etag}`, '*']) {
      const again = await ask('/v1/identities', { headers: { 'if-none-match': known } });
      assert.deepEqual([again.status, again.headers.etag, again.body], [304, etag, undefined], known);
    }
    const other = await ask('/v1/identities', { headers: { 'if-none-match': '"x"' } });
    assert.equal(other.status, 200);
  });

  test('a poll is held until something of this pod changes', async () => {
    const { headers } = await ask('/v1/identities');
    const polling = ask('/v1/identities?wait=100', { headers: { 'if-none-match': String(headers.etag) } });
    await hold(1);
    world.set('team/other', { uid: 'x', excepted: false, identities: [] });
    world.set('team/app-0', { uid: 'uid-1', excepted: false, identities: [row], defaultIdentity: 'id' });
    await hold(1);
    world.set('team/app-0', { uid: 'uid-1', excepted: false, identities: [{ ...row, state: 'Assigned' }], defaultIdentity: 'id' });
    const answer = await polling;
    assert.equal(answer.status, 200);
    assert.deepEqual(answer.body.identities, [{ ...row, state: 'Assigned' }]);
    assert.equal(broker.heldPolls, 0);
  });

  test('a poll ends with 304 when its time is over, and at once when the client leaves', async () => {
    const { headers } = await ask('/v1/identities');
    const known = { 'if-none-match': String(headers.etag) };
    assert.equal((await ask('/v1/identities?wait=1', { headers: known })).status, 304);
    const leaving = new AbortController();
    const polling = ask('/v1/identities?wait=300', { headers: known, signal: leaving.signal });
    await hold(1);
    leaving.abort();
    await assert.rejects(polling, { name: 'AbortError' });
    await hold(0);
  });

  test('a new CA bundle wakes everybody', async () => {
    const { headers } = await ask('/v1/identities');
    const polling = ask('/v1/identities?wait=100', { headers: { 'if-none-match': String(headers.etag) } });
    await hold(1);
    published.caBundle = `${ca.certificate}${ca.certificate}`;
    published.tell();
    assert.equal((await polling).body.caBundle, `${ca.certificate}${ca.certificate}`);
  });

  test('a replica that is behind the caller’s last answer waits until it has caught up, or says 503', async () => {
    const { asOf } = (await ask('/v1/identities')).body;
    world.state.version = 4;
    const asking = ask(`/v1/identities?asOf=${asOf}`);
    world.advance(5);
    assert.equal((await asking).status, 200);
    world.state.version = 4;
    refused(await ask(`/v1/identities?asOf=${asOf}`), 503, 'not_ready');
    // A cursor of before a restored backup must not count for ever.
    ahead += 11 * 60_000;
    assert.equal((await ask(`/v1/identities?asOf=${asOf}`)).status, 200);
  });

  test('bad parameters are named', async () => {
    for (const query of [
      'wait=-1',
      'wait=x',
      'wait=301',
      'wait=',
      'wait=1&wait=2',
      'asOf=!',
      `asOf=${'A'.repeat(4000)}`,
      'asOf=e30',
      'asOf=a&asOf=b',
    ]) {
      const answer = await ask(`/v1/identities?${query}`);
      refused(answer, 400, 'bad_request');
      assert.match(answer.body.error.message, /^(wait|asOf) /, query);
    }
    refused(await ask('/v1/other'), 404, 'not_found');
    refused(await ask('/v1/token', { body: {} }), 404, 'not_found');
  });

  test('nobody is refused before the copies have synced, and there is no token without authentication', async () => {
    world.state.synced = false;
    world.set('team/app-0', undefined);
    refused(await ask('/v1/identities'), 503, 'not_ready');
    assert.equal(broker.ready, false);
    world.state.synced = true;
    token = 'x.y.z';
    const answer = await ask('/v1/identities');
    refused(answer, 401, 'unauthenticated');
    assert.equal(answer.headers['www-authenticate'], 'Bearer');
    assert.deepEqual(
      api.calls.filter((call) => call.includes('pods')),
      [],
    );
  });

  test('a revoking code needs the API server’s word', async () => {
    world.set('team/app-0', undefined);
    const label = { aadpodidbinding: 'x' };
    api.state.pods.set(podPath, { metadata: { name: 'app-0', namespace: 'team', uid: 'uid-1', labels: label } });
    refused(await ask('/v1/identities'), 503, 'not_ready');
    api.state.failing.add(podPath);
    refused(await ask('/v1/identities'), 503, 'not_ready');
    api.state.failing.clear();
    api.state.pods.set(podPath, { metadata: { name: 'app-0', namespace: 'team', uid: 'uid-1' } });
    refused(await ask('/v1/identities'), 403, 'not_participating');
    world.set('team/app-0', { uid: 'uid-1', excepted: false, identities: [] });
    assert.equal((await ask('/v1/identities')).status, 200, 'the label is back');
  });

  test('the pod of that name is another one now', async () => {
    world.set('team/app-0', { uid: 'uid-2', excepted: false, identities: [row] });
    api.state.pods.set(podPath, { metadata: { name: 'app-0', namespace: 'team', uid: 'uid-2', labels: { aadpodidbinding: 'x' } } });
    refused(await ask('/v1/identities'), 403, 'pod_mismatch');
  });

  test('a held poll of a deleted pod ends with pod_gone; the API server is asked once in 10 s', async () => {
    const { headers } = await ask('/v1/identities');
    const polling = ask('/v1/identities?wait=100', { headers: { 'if-none-match': String(headers.etag) } });
    await hold(1);
    world.set('team/app-0', undefined);
    refused(await polling, 404, 'pod_gone');
    refused(await ask('/v1/identities'), 404, 'pod_gone');
    assert.equal(api.count(podPath), 1);
    ahead += 10_000;
    refused(await ask('/v1/identities'), 404, 'pod_gone');
    assert.equal(api.count(podPath), 2);
  });

  test('a report is passed on once in 5 minutes for an identity of this pod', async () => {
    const body = { identity: 'team/id', reason: 'identity_not_found', requestId: 'abc' };
    assert.equal((await ask('/v1/report', { body })).status, 202);
    assert.deepEqual(reports, [{ podKey: 'team/app-0', podUid: 'uid-1', ...body }]);
    const again = await ask('/v1/report', { body });
    refused(again, 429, 'throttled');
    assert.equal(again.headers['retry-after'], '300');
    ahead += 300_000;
    assert.equal((await ask('/v1/report', { body })).status, 202);
    refused(await ask('/v1/report', { body: { ...body, identity: 'team/foreign' } }), 404, 'not_found');
    for (const bad of [{ ...body, reason: 'boredom' }, { ...body, requestId: 'a\nb' }, { ...body, identity: 7 }, [], 'null'])
      refused(await ask('/v1/report', { body: bad }), 400, 'bad_request');
    refused(await ask('/v1/report', { body: '{' }), 400, 'bad_request');
    refused(await ask('/v1/report', { body: { ...body, filler: 'x'.repeat(5000) } }), 413, 'bad_request');
    refused(await ask('/v1/report', { body: 'x=1', headers: { 'content-type': 'application/x-www-form-urlencoded' } }), 415, 'bad_request');
    assert.equal(reports.length, 2);
  });

  test('mints only for identities of the pod, and passes a refusal on', async () => {
    const minted = {
      access_token: 'a',
      client_id: 'c',
      expires_in: '1',
      expires_on: '2',
      ext_expires_in: '1',
      not_before: '1',
      resource: 'r',
      token_type: 'Bearer',
    } as const;
    await start({
      mintToken: async (identity, resource) => {
        if (resource === 'bad') throw new Refusal('token_failed', 'AADSTS500011: no such resource');
        return { ...minted, client_id: identity, resource };
      },
    });
    const good = await ask('/v1/token', { body: { identity: 'team/id', resource: 'https://vault/' } });
    assert.deepEqual(good.body, { ...minted, client_id: 'team/id', resource: 'https://vault/' });
    assert.equal(good.headers['cache-control'], 'no-store');
    const bad = await ask('/v1/token', { body: { identity: 'team/id', resource: 'bad' } });
    refused(bad, 400, 'token_failed');
    assert.match(bad.body.error.message, /AADSTS500011/);
    refused(await ask('/v1/token', { body: { identity: 'other/id', resource: 'r' } }), 404, 'not_found');
    refused(await ask('/v1/token', { body: { identity: 'team/id', resource: '' } }), 400, 'bad_request');
    token = await mint(tokens, now(), { kubernetes: boundTo({ ...pod, uid: 'uid-0' }) });
    refused(await ask('/v1/token', { body: { identity: 'team/id', resource: 'r' } }), 404, 'pod_gone');
  });

  test('a failure inside shows nothing of itself', async () => {
    await start({
      mintToken: async () => {
        throw new Error('password is hunter2');
      },
    });
    const answer = await ask('/v1/token', { body: { identity: 'team/id', resource: 'r' } });
    refused(answer, 500, 'internal');
    assert.equal(answer.body.error.message, 'internal error');
  });

  test('serves a renewed certificate on new connections, TLS 1.3 only; an unusable one changes nothing', async () => {
    const peer = async () => {
      const socket = connect({ port: broker.port, host: '127.0.0.1', servername: name, ca: ca.certificate });
      await once(socket, 'secureConnect');
      const { fingerprint256 } = socket.getPeerCertificate();
      socket.destroy();
      return fingerprint256;
    };
    const first = await peer();
    published.leaf = secondLeaf;
    published.tell();
    const second = await peer();
    assert.notEqual(second, first);
    published.leaf = { certificate: 'garbage', key: 'garbage' };
    published.tell();
    assert.equal(await peer(), second);
    const old = connect({ port: broker.port, host: '127.0.0.1', servername: name, ca: ca.certificate, maxVersion: 'TLSv1.2' });
    await assert.rejects(once(old, 'secureConnect'));
  });

  test('without a certificate it listens, fails handshakes and is not ready; with the first one it serves', async () => {
    await start({}, 'bare');
    const failing = connect({ port: broker.port, host: '127.0.0.1', servername: name, ca: ca.certificate });
    await assert.rejects(once(failing, 'secureConnect'));
    assert.equal(broker.ready, false);
    published.leaf = leaf;
    published.tell();
    assert.equal(broker.ready, true);
    assert.equal((await ask('/v1/identities')).status, 200);
  });

  test('a connection is asked to end after half an hour, spread by a fifth', async () => {
    for (const [random, minutes] of [
      [0, 24],
      [1, 36],
    ] as const) {
      await start({ random: () => random });
      ahead = 0;
      const socketOf = async () => {
        const created = once(agent, 'free') as Promise<[TLSSocket]>;
        const answer = await ask('/v1/identities');
        return answer.headers.connection === 'close' ? 'close' : (await created) && 'keep';
      };
      assert.equal(await socketOf(), 'keep');
      ahead = minutes * 60_000 - 10_000;
      token = await mint(tokens, now());
      assert.equal(await socketOf(), 'keep');
      ahead = minutes * 60_000 + 10_000;
      assert.equal(await socketOf(), 'close');
    }
  });

  test('stopping answers what is held and asks the client to connect elsewhere', async () => {
    const { headers } = await ask('/v1/identities');
    const polling = ask('/v1/identities?wait=300', { headers: { 'if-none-match': String(headers.etag) } });
    await hold(1);
    const stopped = broker.stop();
    const answer = await polling;
    assert.deepEqual([answer.status, answer.headers.connection], [304, 'close']);
    await stopped;
    assert.equal(broker.ready, false);
  });
});
