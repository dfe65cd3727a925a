// Who is asking: a bound token, verified with the cluster's public keys; where these do not fit, the API server decides (TokenReview).
import { hash } from 'node:crypto';
import type { JWTPayload } from 'jose';
import { decodeJwt, errors, jwtVerify } from 'jose';
import type { KubeClient } from '../lib/kube/client.ts';
import { resourcePath, tokenReviews } from '../lib/kube/resources.ts';
import type { Logger } from '../lib/log.ts';
import type { BoundPod } from './bound-token.ts';
import { bearerToken, podOfClaims, podOfReview } from './bound-token.ts';
import { boundedCache } from './bounded-cache.ts';
import type { Issuer, IssuerSource } from './issuer.ts';
import { rateLimit } from './rate-limit.ts';
import { Refusal } from './refusal.ts';

/** What kube-apiserver signs service account tokens with. Fixed, so that a token cannot choose how it is checked. */
const algorithms = ['RS256', 'ES256', 'ES384', 'ES512'];
const clockToleranceSeconds = 60;
const acceptedMs = 5 * 60_000;
const refusedMs = 10_000;
/** Anyone can send tokens of unknown keys: this many of them a second may cost the API server a review. */
const reviewsPerSecond = 40;

/** Takes an Authorization header. Throws {@link Refusal}: `unauthenticated`, or `not_ready` where only the API server could tell. */
export type Authenticate = (authorization: string | undefined) => Promise<BoundPod>;

export function authenticator(options: {
  client: KubeClient;
  log: Logger;
  issuer: IssuerSource;
  audience: string;
  now: () => number;
  /** Of each of the two caches; a forger can only push out refusals. */
  cacheLimit?: number;
}): Authenticate {
  const { client, log, issuer, audience, now } = options;
  const accepted = boundedCache<BoundPod>(options.cacheLimit ?? 20_000, now);
  const refused = boundedCache<string>(options.cacheLimit ?? 20_000, now);
  const mayReview = rateLimit(reviewsPerSecond, 2 * reviewsPerSecond, now);

  /** The claims; undefined where these keys cannot tell. */
  async function verify(token: string, from: Issuer | undefined): Promise<JWTPayload | undefined> {
    if (from === undefined) return undefined;
    try {
      const { payload } = await jwtVerify(token, from.key, {
        algorithms,
        audience,
        issuer: from.name,
        requiredClaims: ['exp'],
        clockTolerance: clockToleranceSeconds,
        currentDate: new Date(now()),
      });
      return payload;
    } catch (error) {
      // A rotated key, or one of several issuers: an API server can have more than it publishes.
      if (error instanceof errors.JWKSNoMatchingKey) return undefined;
      if (error instanceof errors.JWTClaimValidationFailed && error.claim === 'iss') return undefined;
      throw unauthenticated(error instanceof errors.JOSEError ? `the token is not valid: ${error.message}` : 'the token is not valid');
    }
  }

  async function review(token: string): Promise<BoundPod | undefined> {
    if (!mayReview()) throw new Refusal('not_ready', 'too many tokens of unknown keys are being checked: try again');
    try {
      const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token, audiences: [audience] } };
      return podOfReview(await client.call('POST', resourcePath(tokenReviews), { body, timeoutMs: 10_000 }), audience);
    } catch (error) {
      log.warn({ error: String(error) }, 'a token could not be reviewed');
      throw new Refusal('not_ready', 'the token can be checked neither with the published keys nor by the API server: try again');
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
    const reason = refused.get(key);
    if (reason !== undefined) throw unauthenticated(reason);
    try {
      const pod = await podOf(token);
      accepted.set(key, pod, Math.min((decodeJwt(token).exp ?? 0) * 1000, now() + acceptedMs));
      return pod;
    } catch (error) {
      if (error instanceof Refusal && error.code === 'unauthenticated') refused.set(key, error.message, now() + refusedMs);
      throw error;
    }
  };
}

const unauthenticated = (message: string) => new Refusal('unauthenticated', message);
