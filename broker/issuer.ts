// The issuer of service account tokens and its public keys, read from the API server.
import type { JWTVerifyGetKey } from 'jose';
import { createLocalJWKSet } from 'jose';
import type { Clock } from '../common/clock.ts';
import type { KubeClient } from '../lib/kube/client.ts';
import { at, isRecord, stringAt } from '../lib/kube/objects.ts';
import type { Logger } from '../lib/log.ts';

export interface Issuer {
  name: string;
  key: JWTVerifyGetKey;
}

export interface IssuerSource {
  /** The cached issuer; after an hour it is read again in the background. Undefined where the API server does not answer or publishes none. */
  get(): Promise<Issuer | undefined>;
  /** Reads again because a token has an unknown key; at most every 30 s, so that forged tokens cause no more calls. */
  refresh(): Promise<Issuer | undefined>;
}

const lifeMs = 3600_000;
const cooldownMs = 30_000;

export function createIssuerSource({ client, log, clock }: { client: KubeClient; log: Logger; clock: Clock }): IssuerSource {
  let cached: { issuer: Issuer; at: number } | undefined;
  let triedAt = Number.NEGATIVE_INFINITY;
  let reading: Promise<void> | undefined;

  async function read(): Promise<void> {
    try {
      const [discovery, keys] = await Promise.all([
        client.call('GET', '/.well-known/openid-configuration', { timeoutMs: 10_000 }),
        client.call('GET', '/openid/v1/jwks', { timeoutMs: 10_000 }),
      ]);
      const name = stringAt(discovery, 'issuer');
      const list = at(keys, 'keys');
      if (name === undefined || !Array.isArray(list)) throw new Error('the discovery document or the key set is malformed');
      cached = { issuer: { name, key: createLocalJWKSet({ keys: list.filter(isRecord) }) }, at: clock.now() };
    } catch (error) {
      log.warn({ error: String(error) }, 'keys of service account tokens cannot be read; TokenReview checks tokens of unknown keys');
    }
  }

  /** Callers share one read. */
  function renew(): Promise<void> {
    if (reading === undefined && clock.now() - triedAt >= cooldownMs) {
      triedAt = clock.now();
      reading = read().finally(() => {
        reading = undefined;
      });
    }
    return reading ?? Promise.resolve();
  }

  return {
    async get() {
      if (cached === undefined) await renew();
      else if (clock.now() - cached.at >= lifeMs) void renew();
      return cached?.issuer;
    },
    async refresh() {
      await renew();
      return cached?.issuer;
    },
  };
}
