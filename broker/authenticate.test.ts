import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { before, beforeEach, describe, test } from 'node:test';
import { silentLogger } from '../lib/log.ts';
import type { Authenticate } from './authenticate.ts';
import { authenticator } from './authenticate.ts';
import { readIssuer } from './issuer.ts';
import type { Signer } from './testing/cluster-tokens.ts';
import { boundTo, fakeApi, mint, pod, signer } from './testing/cluster-tokens.ts';

const audience = 'aad-pod-identity-broker';

describe('authentication', () => {
  let known: Signer;
  let other: Signer;
  let api: ReturnType<typeof fakeApi>;
  let now: number;
  let authenticate: Authenticate;
  const bearer = (token: string) => authenticate(`Bearer ${token}`);
  const refusedWith = (pattern: RegExp) => ({ name: 'Refusal', code: 'unauthenticated', status: 401, message: pattern });
  const start = (cacheLimit?: number) => {
    const log = silentLogger;
    const clock = () => now;
    authenticate = authenticator({
      client: api.client,
      log,
      issuer: readIssuer({ client: api.client, log, now: clock }),
      audience,
      now: clock,
      ...(cacheLimit === undefined ? {} : { cacheLimit }),
    });
  };

  before(async () => {
    known = await signer('known');
    other = await signer('other');
  });
  beforeEach(() => {
    now = Date.parse('2026-05-01T00:00:00Z');
    api = fakeApi();
    api.state.keys = [known.jwk];
    start();
  });

  test('a bound token is verified with the published keys: no review, and the keys are read once', async () => {
    assert.deepEqual(await bearer(await mint(known, now)), pod);
    assert.deepEqual(await bearer(await mint(known, now, { expires: now / 1000 + 60 })), pod);
    assert.equal(api.count('jwks'), 1);
    assert.equal(api.count('tokenreviews'), 0);
  });

  test('refuses another audience, an expired token, one without an end, and one without a pod', async () => {
    await assert.rejects(bearer(await mint(known, now, { audience: 'https://kubernetes.default.svc' })), refusedWith(/"aud"/));
    await assert.rejects(bearer(await mint(known, now, { expires: now / 1000 - 61 })), refusedWith(/"exp"/));
    await assert.rejects(bearer(await mint(known, now, { expires: undefined })), refusedWith(/"exp"/));
    await assert.rejects(bearer(await mint(known, now, { kubernetes: { namespace: 'team' } })), refusedWith(/not bound to a pod/));
    await assert.rejects(bearer(await mint(known, now, { kubernetes: undefined })), refusedWith(/not bound to a pod/));
    assert.equal(api.count('tokenreviews'), 0, 'what is plainly wrong does not bother the API server');
  });

  test('accepts a clock that is behind by less than a minute', async () => {
    assert.deepEqual(await bearer(await mint(known, now, { expires: now / 1000 - 59 })), pod);
    assert.deepEqual(await bearer(await mint(known, now + 59_000)), pod);
  });

  test('refuses alg none, a public key used as an HMAC secret, a forged signature', async () => {
    const [, payload = ''] = (await mint(known, now)).split('.');
    const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const none = `${encode({ alg: 'none', kid: 'known' })}.${payload}`;
    await assert.rejects(bearer(`${none}.`), refusedWith(/Authorization header/));
    await assert.rejects(bearer(`${none}.AAAA`), refusedWith(/not valid/));
    const confused = `${encode({ alg: 'HS256', kid: 'known' })}.${payload}`;
    const mac = createHmac('sha256', JSON.stringify(known.jwk)).update(confused).digest('base64url');
    await assert.rejects(bearer(`${confused}.${mac}`), refusedWith(/not valid/));
    await assert.rejects(bearer(await mint(other, now, { kid: 'known' })), refusedWith(/not valid/));
    assert.equal(api.count('tokenreviews'), 0);
  });

  test('refuses a good signature by an algorithm that no API server uses, also where the key does not name its own', async () => {
    const { alg: _, ...anyAlgorithm } = known.jwk;
    api.state.keys = [anyAlgorithm];
    await assert.rejects(bearer(await mint(known, now, { algorithm: 'PS256' })), refusedWith(/"alg"/));
    assert.deepEqual(await bearer(await mint(known, now)), pod);
  });

  test('refuses what is no bearer token, before reading it', async () => {
    const token = await mint(known, now);
    const huge = await mint(known, now, { kubernetes: { ...boundTo(pod), filler: 'x'.repeat(9000) } });
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

  test('a rotated key is found by reading the keys again', async () => {
    await bearer(await mint(known, now));
    api.state.keys = [known.jwk, other.jwk];
    now += 30_000;
    assert.deepEqual(await bearer(await mint(other, now)), pod);
    assert.equal(api.count('tokenreviews'), 0);
  });

  test('unknown keys cannot make us read the keys more often than every 30 s; the API server decides on them', async () => {
    api.state.review = { authenticated: false };
    for (let n = 0; n < 5; n += 1) await assert.rejects(bearer(await mint(other, now + n * 1000)), refusedWith(/does not know the token/));
    assert.equal(api.count('jwks'), 1);
    assert.equal(api.count('tokenreviews'), 5);
  });

  test('keys are read again after an hour, without holding up who asks', async () => {
    await bearer(await mint(known, now));
    now += 3600_000;
    await bearer(await mint(known, now));
    assert.equal(api.count('jwks'), 2);
  });

  test('a token of another issuer of the same cluster is reviewed, and only believed with our audience and a pod', async () => {
    const ask = async () => {
      now += 1000;
      return bearer(await mint(known, now, { issuer: 'https://former.test' }));
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

  test('with neither keys nor reviews it is an outage, not a refusal, and nothing is remembered of it', async () => {
    api.state.failing = new Set(['/openid/v1/jwks', '/apis/authentication.k8s.io/v1/tokenreviews']);
    const token = await mint(known, now);
    await assert.rejects(bearer(token), { name: 'Refusal', code: 'not_ready', status: 503 });
    api.state.failing.delete('/apis/authentication.k8s.io/v1/tokenreviews');
    const extra = { 'authentication.kubernetes.io/pod-name': ['app-0'], 'authentication.kubernetes.io/pod-uid': ['uid-1'] };
    api.state.review = { authenticated: true, audiences: [audience], user: { username: 'system:serviceaccount:team:default', extra } };
    assert.deepEqual(await bearer(token), pod);
  });

  test('an accepted token costs nothing again for 5 minutes, never longer than it lives', async () => {
    api.state.failing.add('/openid/v1/jwks');
    const extra = { 'authentication.kubernetes.io/pod-name': ['app-0'], 'authentication.kubernetes.io/pod-uid': ['uid-1'] };
    api.state.review = { authenticated: true, audiences: [audience], user: { username: 'system:serviceaccount:team:default', extra } };
    const [long, short] = [await mint(known, now), await mint(known, now, { expires: now / 1000 + 100 })];
    const reviews = async (token: string) => {
      await bearer(token);
      return api.count('tokenreviews');
    };
    assert.equal(await reviews(long), 1);
    assert.equal(await reviews(short), 2);
    now += 99_000;
    assert.equal(await reviews(short), 2);
    now += 1_000;
    assert.equal(await reviews(short), 3);
    assert.equal(await reviews(long), 3);
    now += 200_000;
    assert.equal(await reviews(long), 4);
  });

  test('a refused token is not checked again for 10 s, and the memory of refusals is bounded', async () => {
    api.state.review = { authenticated: false };
    start(2);
    const tokens = await Promise.all([0, 1, 2].map((n) => mint(other, now + n * 1000)));
    const ask = async (n: number) => {
      await assert.rejects(bearer(tokens[n] ?? ''), refusedWith(/./));
      return api.count('tokenreviews');
    };
    assert.equal(await ask(0), 1);
    assert.equal(await ask(0), 1);
    now += 10_000;
    assert.equal(await ask(0), 2);
    assert.equal(await ask(1), 3);
    assert.equal(await ask(2), 4);
    assert.equal(await ask(0), 5, 'the oldest made room');
    assert.equal(await ask(2), 5);
  });

  test('a flood of unknown keys stops at the rate of reviews', async () => {
    api.state.review = { authenticated: false };
    const [header, payload] = (await mint(other, now)).split('.');
    const results = await Promise.allSettled(Array.from({ length: 200 }, (_, n) => bearer(`${header}.${payload}.${n}`)));
    assert.equal(api.count('tokenreviews'), 80);
    assert.equal(results.filter((result) => result.status === 'rejected' && result.reason.code === 'not_ready').length, 120);
  });
});
