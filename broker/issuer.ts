// What the cluster's API server says about the tokens it signs: issuer and public keys, read through the API.
import type { JWTVerifyGetKey } from 'jose';
import { createLocalJWKSet } from 'jose';
import type { KubeClient } from '../lib/kube/client.ts';
import { at, isRecord, stringAt } from '../lib/kube/objects.ts';
import type { Logger } from '../lib/log.ts';

export interface Issuer {
  name: string;
  key: JWTVerifyGetKey;
}

export interface IssuerSource {
  /** What is known; an hour later it is read again in the background. Undefined where the API server could not be asked or publishes nothing. */
  get(): Promise<Issuer | undefined>;
  /** Reads again because a token does not fit what is known; at most every 30 s, so that forged tokens cannot make us ask more often. */
  refresh(): Promise<Issuer | undefined>;
}

const lifeMs = 3600_000;
const cooldownMs = 30_000;

export function readIssuer(options: { client: KubeClient; log: Logger; now: () => number }): IssuerSource {
  const { client, log, now } = options;
  let known: { issuer: Issuer; at: number } | undefined;
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
      if (name === undefined || !Array.isArray(list)) throw new Error('the discovery document or the key set is not one');
      known = { issuer: { name, key: createLocalJWKSet({ keys: list.filter(isRecord) }) }, at: now() };
    } catch (error) {
      log.warn(
        { error: String(error) },
        "the cluster's token keys cannot be read; tokens are checked by TokenReview where they are not known",
      );
    }
  }

  /** One read at a time, shared. */
  function renew(): Promise<void> {
    if (reading === undefined && now() - triedAt >= cooldownMs) {
      triedAt = now();
      reading = read().finally(() => {
        reading = undefined;
      });
    }
    return reading ?? Promise.resolve();
  }

  return {
    async get() {
      if (known === undefined) await renew();
      else if (now() - known.at >= lifeMs) void renew();
      return known?.issuer;
    },
    async refresh() {
      await renew();
      return known?.issuer;
    },
  };
}
