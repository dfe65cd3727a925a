import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { before, beforeEach, describe, it } from 'node:test';
import type { Clock } from '../common/clock.ts';
import { silentLogger } from '../lib/log.ts';
import type { Authenticate } from './authenticate.ts';
import { createAuthenticator } from './authenticate.ts';
import { createIssuerSource } from './issuer.ts';
import type { Signer } from './testing/fake-api-server.ts';
import { boundTo, createSigner, fakeApiServer, pod, signToken } from './testing/fake-api-server.ts';

const audience = 'aad-pod-identity-broker';

describe('authenticate', () => {
  let known: Signer;
  let other: Signer;
  let api: ReturnType<typeof fakeApiServer>;
  let now: number;
  let authenticate: Authenticate;
  const bearer = (token: string) => authenticate(`Bearer ${token}`);
  const refusedWith = (pattern: RegExp) => ({ name: 'BrokerError', code: 'unauthenticated', status: 401, message: pattern });
  const start = (cacheLimit?: number) => {
    const log = silentLogger;
    const clock: Clock = { wall: () => now, now: () => now, after: () => assert.fail('no timer') };
    authenticate = createAuthenticator({
      client: api.client,
      log,
      issuer: createIssuerSource({ client: api.client, log, clock }),
      audience,
      clock,
      ...(cacheLimit === undefined ? {} : { cacheLimit }),
    });
  };

  before(async () => {
    known = await createSigner('known');
    other = await createSigner('other');
  });
  beforeEach(() => {
    now = Date.parse('2026-05-01T00:00:00Z');
    api = fakeApiServer();
    api.state.keys = [known.jwk];
    start();
  });

  it('verifies a bound token with the published keys, read once, without a review', async () => {
    assert.deepEqual(await bearer(await signToken(known, now)), pod);
    assert.deepEqual(await bearer(await signToken(known, now, { expires: now / 1000 + 60 })), pod);
    assert.equal(api.count('jwks'), 1);
    assert.equal(api.count('tokenreviews'), 0);
  });

  it('refuses another audience, an expired token, one without exp, one without a pod', async () => {
    await assert.rejects(bearer(await signToken(known, now, { audience: 'https://kubernetes.default.svc' })), refusedWith(/"aud"/));
    await assert.rejects(bearer(await signToken(known, now, { expires: now / 1000 - 61 })), refusedWith(/"exp"/));
    await assert.rejects(bearer(await signToken(known, now, { expires: undefined })), refusedWith(/"exp"/));
    await assert.rejects(bearer(await signToken(known, now, { kubernetes: { namespace: 'team' } })), refusedWith(/not bound to a pod/));
    await assert.rejects(bearer(await signToken(known, now, { kubernetes: undefined })), refusedWith(/not bound to a pod/));
    assert.equal(api.count('tokenreviews'), 0, 'the API server reviews no token that is plainly wrong');
  });

  it('accepts a clock that is behind by less than a minute', async () => {
    assert.deepEqual(await bearer(await signToken(known, now, { expires: now / 1000 - 59 })), pod);
    assert.deepEqual(await bearer(await signToken(known, now + 59_000)), pod);
  });

  it('refuses alg none, a public key used as an HMAC secret, a forged signature', async () => {
    const [, payload = ''] = (await signToken(known, now)).split('.');
    const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const none = `${encode({ alg: 'none', kid: 'known' })}.${payload}`;
    await assert.rejects(bearer(`${none}.`), refusedWith(/Authorization header/));
    await assert.rejects(bearer(`${none}.AAAA`), refusedWith(/not valid/));
    const confused = `${encode({ alg: 'HS256', kid: 'known' })}.${payload}`;
    const mac = createHmac('sha256', JSON.stringify(known.jwk)).update(confused).digest('base64url');
    await assert.rejects(bearer(`${confused}.${mac}`), refusedWith(/not valid/));
    await assert.rejects(bearer(await signToken(other, now, { kid: 'known' })), refusedWith(/not valid/));
    assert.equal(api.count('tokenreviews'), 0);
  });

  it('refuses an algorithm that kube-apiserver does not sign with', async () => {
    const { alg: _, ...anyAlgorithm } = known.jwk;
    api.state.keys = [anyAlgorithm];
    await assert.rejects(bearer(await signToken(known, now, { algorithm: 'PS256' })), refusedWith(/"alg"/));
    assert.deepEqual(await bearer(await signToken(known, now)), pod);
  });

  it('refuses a header without a bearer token, before any call', async () => {
    const token = await signToken(known, now);
    const huge = await signToken(known, now, { kubernetes: { ...boundTo(pod), filler: 'x'.repeat(9000) } });
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
      await assert.rejects(authenticate(header), refusedWith(/Authorization header/));
    assert.deepEqual(api.calls, []);
    assert.deepEqual(await authenticate(`bearer ${token}`), pod, 'the scheme is case-insensitive');
  });

  it('reads the keys again for a token of an unknown key', async () => {
    await bearer(await signToken(known, now));
    api.state.keys = [known.jwk, other.jwk];
    now += 30_000;
    assert.deepEqual(await bearer(await signToken(other, now)), pod);
    assert.equal(api.count('tokenreviews'), 0);
  });

  it('reads the keys at most every 30 s, and reviews tokens of unknown keys', async () => {
    api.state.review = { authenticated: false };
    for (let n = 0; n < 5; n += 1)
      await assert.rejects(bearer(await signToken(other, now + n * 1000)), refusedWith(/does not know the token/));
    assert.equal(api.count('jwks'), 1);
    assert.equal(api.count('tokenreviews'), 5);
  });

  it('reads the keys again after an hour, in the background', async () => {
    await bearer(await signToken(known, now));
    now += 3600_000;
    await bearer(await signToken(known, now));
    assert.equal(api.count('jwks'), 2);
  });

  it('reviews a token of another issuer, and requires our audience and a pod', async () => {
    const ask = async () => {
      now += 1000;
      return bearer(await signToken(known, now, { issuer: 'https://former.test' }));
    };
    const extra = { 'authentication.kubernetes.io/pod-name': ['app-0'], 'authentication.kubernetes.io/pod-uid': ['uid-1'] };
    const user = { username: 'system:serviceaccount:team:default', extra };
    api.state.review = { authenticated: true, audiences: [audience], user };
    assert.deepEqual(await ask(), pod);
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

  it('answers not_ready while neither keys nor reviews work, and caches nothing', async () => {
    api.state.failing = new Set(['/openid/v1/jwks', '/apis/authentication.k8s.io/v1/tokenreviews']);
    const token = await signToken(known, now);
    await assert.rejects(bearer(token), { name: 'BrokerError', code: 'not_ready', status: 503 });
    api.state.failing.delete('/apis/authentication.k8s.io/v1/tokenreviews');
    const extra = { 'authentication.kubernetes.io/pod-name': ['app-0'], 'authentication.kubernetes.io/pod-uid': ['uid-1'] };
    api.state.review = { authenticated: true, audiences: [audience], user: { username: 'system:serviceaccount:team:default', extra } };
    assert.deepEqual(await bearer(token), pod);
  });

  it('caches an accepted token for 5 minutes, never longer than it lives', async () => {
    api.state.failing.add('/openid/v1/jwks');
    const extra = { 'authentication.kubernetes.io/pod-name': ['app-0'], 'authentication.kubernetes.io/pod-uid': ['uid-1'] };
    api.state.review = { authenticated: true, audiences: [audience], user: { username: 'system:serviceaccount:team:default', extra } };
    const [long, short] = [await signToken(known, now), await signToken(known, now, { expires: now / 1000 + 100 })];
    const reviews = async (token: string) => {
      await bearer(token);
      return api.count('tokenreviews');
    };
    assert.equal(await reviews(long), 1);
    assert.equal(await reviews(short), 2);
    now += 100_000;
    assert.equal(await reviews(short), 2);
    now += 1;
    assert.equal(await reviews(short), 3);
    assert.equal(await reviews(long), 3);
    now += 200_000;
    assert.equal(await reviews(long), 4);
  });

  it('caches a refused token for 10 s, in a bounded cache', async () => {
    api.state.review = { authenticated: false };
    start(2);
    const tokens = await Promise.all([0, 1, 2].map((n) => signToken(other, now + n * 1000)));
    const ask = async (n: number) => {
      await assert.rejects(bearer(tokens[n] ?? ''), refusedWith(/./));
      return api.count('tokenreviews');
    };
    assert.equal(await ask(0), 1);
    assert.equal(await ask(0), 1);
    now += 10_001;
    assert.equal(await ask(0), 2);
    assert.equal(await ask(1), 3);
    assert.equal(await ask(2), 4);
    assert.equal(await ask(0), 5, 'the least recently used made room');
    assert.equal(await ask(2), 5);
  });

  it('limits the reviews of a flood of unknown keys', async () => {
    api.state.review = { authenticated: false };
    const [header, payload] = (await signToken(other, now)).split('.');
    const results = await Promise.allSettled(Array.from({ length: 200 }, (_, n) => bearer(`${header}.${payload}.${n}`)));
    assert.equal(api.count('tokenreviews'), 80);
    assert.equal(results.filter((result) => result.status === 'rejected' && result.reason.code === 'not_ready').length, 120);
  });
});
