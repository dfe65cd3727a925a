// Authenticates a pod by its bound token: with the cluster's public keys, or by a TokenReview where these do not fit.
import { hash } from 'node:crypto';
import type { JWTPayload } from 'jose';
import { decodeJwt, errors, jwtVerify } from 'jose';
import type { Clock } from '../common/clock.ts';
import { TokenBucket } from '../common/token-bucket.ts';
import type { KubeClient } from '../lib/kube/client.ts';
import { resourcePath, tokenReviews } from '../lib/kube/resources.ts';
import type { Logger } from '../lib/log.ts';
import type { BoundPod } from './bound-token.ts';
import { bearerToken, podOfClaims, podOfReview } from './bound-token.ts';
import { BrokerError } from './error.ts';
import type { Issuer, IssuerSource } from './issuer.ts';
import { createTtlCache } from './ttl-cache.ts';

/** kube-apiserver signs service account tokens with one of these. Fixed, so that a token cannot choose how it is verified. */
const algorithms = ['RS256', 'ES256', 'ES384', 'ES512'];
const clockToleranceSeconds = 60;
const acceptedMs = 5 * 60_000;
const rejectedMs = 10_000;
/** Anyone can send tokens of unknown keys; the API server reviews no more of them. */
const reviewsPerSecond = 40;

/** Takes an Authorization header. Throws {@link BrokerError}: `unauthenticated`, or `not_ready` where the API server must decide and does not answer. */
export type Authenticate = (authorization: string | undefined) => Promise<BoundPod>;

export function createAuthenticator(options: {
  client: KubeClient;
  log: Logger;
  issuer: IssuerSource;
  audience: string;
  clock: Clock;
  /** Of each of the two caches. Forged tokens can only evict rejected ones. */
  cacheLimit?: number;
}): Authenticate {
  const { client, log, issuer, audience, clock } = options;
  const accepted = createTtlCache<BoundPod>(options.cacheLimit ?? 20_000, clock);
  const rejected = createTtlCache<string>(options.cacheLimit ?? 20_000, clock);
  const reviews = new TokenBucket({ perSecond: reviewsPerSecond, burst: 2 * reviewsPerSecond, clock });

  /** The claims; undefined where these keys cannot decide. */
  async function verify(token: string, from: Issuer | undefined): Promise<JWTPayload | undefined> {
    if (from === undefined) return undefined;
    try {
      const { payload } = await jwtVerify(token, from.key, {
        algorithms,
        audience,
        issuer: from.name,
        requiredClaims: ['exp'],
        clockTolerance: clockToleranceSeconds,
        currentDate: new Date(clock.wall()),
      });
      return payload;
    } catch (error) {
      // A rotated key, or another issuer: an API server can accept more issuers than it publishes.
      if (error instanceof errors.JWKSNoMatchingKey) return undefined;
      if (error instanceof errors.JWTClaimValidationFailed && error.claim === 'iss') return undefined;
      throw unauthenticated(error instanceof errors.JOSEError ? `the token is not valid: ${error.message}` : 'the token is not valid');
    }
  }

  async function review(token: string): Promise<BoundPod | undefined> {
    if (!reviews.take()) throw new BrokerError('not_ready', 'too many tokens of unknown keys are being checked: try again');
    try {
      const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token, audiences: [audience] } };
      return podOfReview(await client.call('POST', resourcePath(tokenReviews), { body, timeoutMs: 10_000 }), audience);
    } catch (error) {
      log.warn({ error: String(error) }, 'TokenReview failed');
      throw new BrokerError('not_ready', 'the token can be checked neither with the published keys nor by the API server: try again');
    }
  }

  async function podOf(token: string): Promise<BoundPod> {
    const claims = (await verify(token, await issuer.get())) ?? (await verify(token, await issuer.refresh()));
    const pod = claims === undefined ? await review(token) : podOfClaims(claims);
    if (pod !== undefined) return pod;
    throw unauthenticated(
      claims === undefined
        ? `the API server does not know the token for audience ${audience}, bound to a pod`
        : 'the token is not bound to a pod',
    );
  }

  return async (authorization) => {
    const token = bearerToken(authorization);
    if (token === undefined) throw unauthenticated('the Authorization header must be Bearer with the projected token of the pod');
    const key = hash('sha256', token, 'base64');
    const known = accepted.get(key);
    if (known !== undefined) return known;
    const reason = rejected.get(key);
    if (reason !== undefined) throw unauthenticated(reason);
    try {
      const pod = await podOf(token);
      accepted.set(key, pod, Math.min((decodeJwt(token).exp ?? 0) * 1000 - clock.wall(), acceptedMs));
      return pod;
    } catch (error) {
      if (error instanceof BrokerError && error.code === 'unauthenticated') rejected.set(key, error.message, rejectedMs);
      throw error;
    }
  };
}

const unauthenticated = (message: string) => new BrokerError('unauthenticated', message);
