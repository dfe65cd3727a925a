import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { before, beforeEach, describe, it } from 'node:test';
import type { FakeClock } from '../common/testing/fake-clock.ts';
import { createFakeClock } from '../common/testing/fake-clock.ts';
import { silentLogger } from '../lib/log.ts';
import type { Authenticate } from './authenticate.ts';
import { createAuthenticator } from './authenticate.ts';
import { createIssuerSource } from './issuer.ts';
import type { Signer } from './testing/fake-api-server.ts';
import { boundTo, caller, createSigner, fakeApiServer, pod, signToken } from './testing/fake-api-server.ts';

const audience = 'aad-pod-identity-broker';

describe('authenticate', () => {
  let known: Signer;
  let other: Signer;
  let api: ReturnType<typeof fakeApiServer>;
  let clock: FakeClock;
  let refused: string[];
  let authenticate: Authenticate;
  const node = '10.0.0.1';
  const bearer = (token: string, address = node) => authenticate(`Bearer ${token}`, address);
  const refusedWith = (pattern: RegExp) => ({ name: 'BrokerError', code: 'unauthenticated', status: 401, message: pattern });
  const start = (cacheLimit?: number) => {
    const log = silentLogger;
    authenticate = createAuthenticator({
      client: api.client,
      log,
      issuer: createIssuerSource({ client: api.client, log, clock }),
      audience,
      clock,
      onRefused: (limit) => refused.push(limit),
      ...(cacheLimit === undefined ? {} : { cacheLimit }),
    });
  };

  before(async () => {
    known = await createSigner('known');
    other = await createSigner('other');
  });
  beforeEach(() => {
    clock = createFakeClock();
    refused = [];
    api = fakeApiServer();
    api.state.keys = [known.jwk];
    start();
  });

  it('verifies a bound token with the published keys, read once, without a review', async () => {
    assert.deepEqual(await bearer(await signToken(known, clock.wall())), caller);
    assert.deepEqual(await bearer(await signToken(known, clock.wall(), { expires: clock.wall() / 1000 + 60 })), caller);
    assert.equal(api.count('jwks'), 1);
    assert.equal(api.count('tokenreviews'), 0);
  });

  it('refuses another audience, an expired token, one without exp, one without a pod', async () => {
    await assert.rejects(
      bearer(await signToken(known, clock.wall(), { audience: 'https://kubernetes.default.svc' })),
      refusedWith(/"aud"/),
    );
    await assert.rejects(bearer(await signToken(known, clock.wall(), { expires: clock.wall() / 1000 - 61 })), refusedWith(/"exp"/));
    await assert.rejects(bearer(await signToken(known, clock.wall(), { expires: undefined })), refusedWith(/"exp"/));
    await assert.rejects(
      bearer(await signToken(known, clock.wall(), { kubernetes: { namespace: 'team' } })),
      refusedWith(/not bound to a pod/),
    );
    await assert.rejects(bearer(await signToken(known, clock.wall(), { kubernetes: undefined })), refusedWith(/not bound to a pod/));
    assert.equal(api.count('tokenreviews'), 0, 'the API server reviews no token that is plainly wrong');
  });

  it('accepts a clock that is behind by less than a minute', async () => {
    assert.deepEqual(await bearer(await signToken(known, clock.wall(), { expires: clock.wall() / 1000 - 59 })), caller);
    assert.deepEqual(await bearer(await signToken(known, clock.wall() + 59_000)), caller);
  });

  it('refuses alg none, a public key used as an HMAC secret, a forged signature', async () => {
    const [, payload = ''] = (await signToken(known, clock.wall())).split('.');
    const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const none = `${encode({ alg: 'none', kid: 'known' })}.${payload}`;
    await assert.rejects(bearer(`${none}.`), refusedWith(/Authorization header/));
    await assert.rejects(bearer(`${none}.AAAA`), refusedWith(/not valid/));
    const confused = `${encode({ alg: 'HS256', kid: 'known' })}.${payload}`;
    const mac = createHmac('sha256', JSON.stringify(known.jwk)).update(confused).digest('base64url');
    await assert.rejects(bearer(`${confused}.${mac}`), refusedWith(/not valid/));
    await assert.rejects(bearer(await signToken(other, clock.wall(), { kid: 'known' })), refusedWith(/not valid/));
    assert.equal(api.count('tokenreviews'), 0);
  });

  it('refuses an algorithm that kube-apiserver does not sign with', async () => {
    const { alg: _, ...anyAlgorithm } = known.jwk;
    api.state.keys = [anyAlgorithm];
    await assert.rejects(bearer(await signToken(known, clock.wall(), { algorithm: 'PS256' })), refusedWith(/"alg"/));
    assert.deepEqual(await bearer(await signToken(known, clock.wall())), caller);
  });

  it('refuses a header without a bearer token, before any call', async () => {
    const token = await signToken(known, clock.wall());
    const huge = await signToken(known, clock.wall(), { kubernetes: { ...boundTo(pod), filler: 'x'.repeat(9000) } });
    for (const header of [
      undefined,
      '',
      token,
      `Basic ${token}`,
      `Bearer ${token} x`,
      'Bearer a.b',
      'Bearer a.b.c.d',
      'Bearer ä.b.c',
      `Bearer ${huge}`,
    ])
      await assert.rejects(authenticate(header, node), refusedWith(/Authorization header/));
    assert.deepEqual(api.calls, []);
    assert.deepEqual(await authenticate(`bearer ${token}`, node), caller, 'the scheme is case-insensitive');
  });

  it('reads the keys again for a token of an unknown key', async () => {
    await bearer(await signToken(known, clock.wall()));
    api.state.keys = [known.jwk, other.jwk];
    await clock.advance(30_000);
    assert.deepEqual(await bearer(await signToken(other, clock.wall())), caller);
    assert.equal(api.count('tokenreviews'), 0);
  });

  it('reads the keys at most every 30 s, and reviews tokens of unknown keys', async () => {
    api.state.review = { authenticated: false };
    for (let n = 0; n < 5; n += 1)
      await assert.rejects(bearer(await signToken(other, clock.wall() + n * 1000)), refusedWith(/does not know the token/));
    assert.equal(api.count('jwks'), 1);
    assert.equal(api.count('tokenreviews'), 5);
  });

  it('reads the keys every 2 minutes, also without requests', async () => {
    await bearer(await signToken(known, clock.wall()));
    await clock.advance(600_000);
    assert.equal(api.count('jwks'), 6);
  });

  it('refuses a removed key within 5 minutes, also for a token that it knows', async () => {
    api.state.review = { authenticated: false };
    const lasting = { expires: clock.wall() / 1000 + 86_400 };
    const token = await signToken(known, clock.wall(), lasting);
    await clock.advance(119_000);
    await bearer(token);
    api.state.keys = [other.jwk];
    let acceptedMs = 0;
    for (; acceptedMs < 3600_000; acceptedMs += 10_000) {
      await clock.advance(10_000);
      const again = [token, await signToken(known, clock.wall(), { expires: clock.wall() / 1000 + 86_400 })];
      const results = await Promise.allSettled(again.map((each) => bearer(each)));
      if (results.every(({ status }) => status === 'rejected')) break;
    }
    assert.ok(acceptedMs <= 300_000, `${acceptedMs} ms`);
    assert.ok(acceptedMs > 0);
  });

  it('keeps the keys for an hour while the API server does not answer', async () => {
    await bearer(await signToken(known, clock.wall()));
    api.state.failing = new Set(['/openid/v1/jwks', '/apis/authentication.k8s.io/v1/tokenreviews']);
    await clock.advance(3590_000);
    assert.deepEqual(await bearer(await signToken(known, clock.wall())), caller);
    await clock.advance(20_000);
    await assert.rejects(bearer(await signToken(known, clock.wall())), { code: 'not_ready' });
    api.state.failing.clear();
    await clock.advance(30_000);
    assert.deepEqual(await bearer(await signToken(known, clock.wall())), caller);
  });

  it('reviews a token of another issuer, and requires our audience and a pod', async () => {
    const ask = async () => {
      await clock.advance(1000);
      return bearer(await signToken(known, clock.wall(), { issuer: 'https://former.test' }));
    };
    const extra = { 'authentication.kubernetes.io/pod-name': ['app-0'], 'authentication.kubernetes.io/pod-uid': ['uid-1'] };
    const user = { username: 'system:serviceaccount:team:default', extra };
    api.state.review = { authenticated: true, audiences: [audience], user };
    assert.deepEqual(await ask(), caller);
    for (const review of [
      { authenticated: true, user },
      { authenticated: true, audiences: ['other'], user },
      { authenticated: true, audiences: [audience], user: { ...user, extra: {} } },
      { authenticated: true, audiences: [audience], user: { username: 'admin', extra } },
      { authenticated: false, audiences: [audience], user },
      'nonsense',
    ]) {
      api.state.review = review;
      await assert.rejects(ask(), refusedWith(/does not know the token/), JSON.stringify(review));
    }
  });

  it('reads service account and node of the token from its claims and from a review', async () => {
    const endpoint = { namespace: 'home', name: 'node-x', uid: 'u', serviceAccount: 'aad-pod-identity-node', node: 'n1' };
    assert.deepEqual(await bearer(await signToken(known, clock.wall(), { kubernetes: boundTo(endpoint) })), endpoint);
    const extra = Object.fromEntries(
      [['pod-name', 'node-x'] as const, ['pod-uid', 'u'] as const, ['node-name', 'n1'] as const].map(([key, value]) => [
        `authentication.kubernetes.io/${key}`,
        [value],
      ]),
    );
    const user = { username: 'system:serviceaccount:home:aad-pod-identity-node', extra };
    api.state.review = { authenticated: true, audiences: [audience], user };
    await clock.advance(1000);
    assert.deepEqual(await bearer(await signToken(known, clock.wall(), { issuer: 'https://former.test' })), endpoint);
  });

  it('answers not_ready while neither keys nor reviews work, and caches nothing', async () => {
    api.state.failing = new Set(['/openid/v1/jwks', '/apis/authentication.k8s.io/v1/tokenreviews']);
    const token = await signToken(known, clock.wall());
    await assert.rejects(bearer(token), { name: 'BrokerError', code: 'not_ready', status: 503 });
    api.state.failing.delete('/apis/authentication.k8s.io/v1/tokenreviews');
    const extra = { 'authentication.kubernetes.io/pod-name': ['app-0'], 'authentication.kubernetes.io/pod-uid': ['uid-1'] };
    api.state.review = { authenticated: true, audiences: [audience], user: { username: 'system:serviceaccount:team:default', extra } };
    assert.deepEqual(await bearer(token), caller);
  });

  it('caches an accepted token for 5 minutes, never longer than it lives', async () => {
    api.state.failing.add('/openid/v1/jwks');
    const extra = { 'authentication.kubernetes.io/pod-name': ['app-0'], 'authentication.kubernetes.io/pod-uid': ['uid-1'] };
    api.state.review = { authenticated: true, audiences: [audience], user: { username: 'system:serviceaccount:team:default', extra } };
    const [long, short] = [
      await signToken(known, clock.wall()),
      await signToken(known, clock.wall(), { expires: clock.wall() / 1000 + 100 }),
    ];
    const reviews = async (token: string) => {
      await bearer(token);
      return api.count('tokenreviews');
    };
    assert.equal(await reviews(long), 1);
    assert.equal(await reviews(short), 2);
    await clock.advance(100_000);
    assert.equal(await reviews(short), 2);
    await clock.advance(1);
    assert.equal(await reviews(short), 3);
    assert.equal(await reviews(long), 3);
    await clock.advance(200_000);
    assert.equal(await reviews(long), 4);
  });

  it('caches a refused token for 10 s, in a bounded cache', async () => {
    api.state.review = { authenticated: false };
    start(2);
    const tokens = await Promise.all([0, 1, 2].map((n) => signToken(other, clock.wall() + n * 1000)));
    const ask = async (n: number) => {
      await assert.rejects(bearer(tokens[n] ?? ''), refusedWith(/./));
      return api.count('tokenreviews');
    };
    assert.equal(await ask(0), 1);
    assert.equal(await ask(0), 1);
    await clock.advance(10_001);
    assert.equal(await ask(0), 2);
    assert.equal(await ask(1), 3);
    assert.equal(await ask(2), 4);
    assert.equal(await ask(0), 5, 'the least recently used made room');
    assert.equal(await ask(2), 5);
  });

  it('reviews a token of one address within a flood of unknown keys of another', async () => {
    api.state.review = { authenticated: false };
    const [header, payload] = (await signToken(other, clock.wall())).split('.');
    const ended: string[] = [];
    const ask = (name: string, address: string) =>
      bearer(`${header}.${payload}.${name}`, address).catch(({ code }) => void ended.push(`${name} ${code}`));
    const flood = Array.from({ length: 400 }, (_, n) => ask(`flood-${n}`, '10.0.0.2'));
    await clock.advance(0);
    assert.equal(api.count('tokenreviews'), 80);
    assert.equal(ended.filter((each) => each.endsWith('not_ready')).length, 120);
    assert.deepEqual(new Set(refused), new Set(['reviews']));
    void ask('honest', node);
    await clock.advance(50);
    assert.ok(ended.includes('honest unauthenticated'), 'its turn comes after one of the flood');
    await clock.advance(10_000);
    await Promise.all(flood);
    assert.equal(api.count('tokenreviews'), 80 + 200);
  });

  it('verifies 500 unknown tokens of an address at once, then 20 a second', async () => {
    const [header, payload] = (await signToken(known, clock.wall())).split('.');
    let count = 0;
    const ask = async (address: string) => {
      count += 1;
      return bearer(`${header}.${payload}.${count}`, address).catch(({ code }) => code);
    };
    for (let n = 0; n < 500; n += 1) assert.equal(await ask(node), 'unauthenticated');
    assert.equal(await ask(node), 'throttled');
    assert.deepEqual(refused, ['verifications']);
    assert.equal(await ask('10.0.0.2'), 'unauthenticated');
    await clock.advance(50);
    assert.deepEqual([await ask(node), await ask(node)], ['unauthenticated', 'throttled']);
  });
});
