// Authenticates a pod by its bound token: with the cluster's public keys, or by a TokenReview where these do not fit.
import { hash } from 'node:crypto';
import type { JWTPayload } from 'jose';
import { decodeJwt, errors, jwtVerify } from 'jose';
import type { Clock } from '../common/clock.ts';
import type { KubeClient } from '../lib/kube/client.ts';
import { resourcePath, tokenReviews } from '../lib/kube/resources.ts';
import type { Logger } from '../lib/log.ts';
import { limitEach, waitInFairTurn } from '../lib/rate-limiters.ts';
import type { Caller } from './bound-token.ts';
import { bearerToken, callerOfClaims, callerOfReview } from './bound-token.ts';
import { BrokerError } from './error.ts';
import type { Issuer, IssuerSource } from './issuer.ts';
import type { BrokerLimit } from './limits.ts';
import { createTtlCache } from './ttl-cache.ts';

/** kube-apiserver signs service account tokens with one of these. Fixed, so that a token cannot choose how it is verified. */
const algorithms = ['RS256', 'ES256', 'ES384', 'ES512'];
const clockToleranceSeconds = 60;
const acceptedMs = 5 * 60_000;
const rejectedMs = 10_000;
/**
 * Verifications of tokens that are in no cache, for each address: a pod needs one in five minutes, and all pods of a node may come from one address.
 * A forged token costs as much as the rest of its request.
 */
const verificationRate = { perSecond: 20, burst: 500 };
/** Anyone can send tokens of unknown keys. The API server reviews no more of them, and addresses take turns. */
const reviewRate = { perSecond: 40, burst: 80, maxWaiting: 200 };

/**
 * Takes an Authorization header and the address that it came from. Throws {@link BrokerError}: `unauthenticated`; `throttled` for an address that sends
 * too many unknown tokens; `not_ready` where the API server must decide and does not answer.
 */
export type Authenticate = (authorization: string | undefined, address: string) => Promise<Caller>;

interface Accepted {
  caller: Caller;
  /** Of the issuer's keys. With others the token is verified again, so that it does not outlive its key. */
  version: number;
}

export function createAuthenticator(options: {
  client: KubeClient;
  log: Logger;
  issuer: IssuerSource;
  audience: string;
  clock: Clock;
  onRefused: (limit: BrokerLimit) => void;
  /** Of each of the two caches. Forged tokens can only evict rejected ones. */
  cacheLimit?: number;
}): Authenticate {
  const { client, log, issuer, audience, clock, onRefused } = options;
  const accepted = createTtlCache<Accepted>(options.cacheLimit ?? 20_000, clock);
  const rejected = createTtlCache<string>(options.cacheLimit ?? 20_000, clock);
  const mayVerify = limitEach({ ...verificationRate, keys: 20_000, clock });
  const reviewTurn = waitInFairTurn({ ...reviewRate, clock });

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

  async function review(token: string, address: string): Promise<Caller | undefined> {
    if (!(await reviewTurn(address))) {
      onRefused('reviews');
      throw new BrokerError('not_ready', 'too many tokens of unknown keys are being checked: try again');
    }
    try {
      const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token, audiences: [audience] } };
      return callerOfReview(await client.call('POST', resourcePath(tokenReviews), { body, timeoutMs: 10_000 }), audience);
    } catch (error) {
      log.warn({ error: String(error) }, 'TokenReview failed');
      throw new BrokerError('not_ready', 'the token can be checked neither with the published keys nor by the API server: try again');
    }
  }

  async function accept(token: string, address: string): Promise<Accepted> {
    if (!mayVerify(address)) {
      onRefused('verifications');
      throw new BrokerError('throttled', 'too many unknown tokens come from this address: try again', { retryAfterSeconds: 5 });
    }
    for (const readKeys of [issuer.get, issuer.refresh]) {
      const keys = await readKeys();
      const { version } = issuer;
      const claims = await verify(token, keys);
      if (claims === undefined) continue;
      const caller = callerOfClaims(claims);
      if (caller === undefined) throw unauthenticated('the token is not bound to a pod');
      return { caller, version };
    }
    const { version } = issuer;
    const caller = await review(token, address);
    if (caller === undefined) throw unauthenticated(`the API server does not know the token for audience ${audience}, bound to a pod`);
    return { caller, version };
  }

  return async (authorization, address) => {
    const token = bearerToken(authorization);
    if (token === undefined) throw unauthenticated('the Authorization header must be Bearer with the projected token of the pod');
    const key = hash('sha256', token, 'base64');
    const known = accepted.get(key);
    if (known?.version === issuer.version) return known.caller;
    const reason = rejected.get(key);
    if (reason !== undefined) throw unauthenticated(reason);
    try {
      const result = await accept(token, address);
      accepted.set(key, result, Math.min((decodeJwt(token).exp ?? 0) * 1000 - clock.wall(), acceptedMs));
      return result.caller;
    } catch (error) {
      if (error instanceof BrokerError && error.code === 'unauthenticated') rejected.set(key, error.message, rejectedMs);
      throw error;
    }
  };
}

const unauthenticated = (message: string) => new BrokerError('unauthenticated', message);
