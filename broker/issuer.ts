// The issuer of service account tokens and its public keys, read from the API server again and again, so that a key that the API server drops is
// dropped here too (docs/adr/0025-fair-budgets-of-the-broker.md).
import { isDeepStrictEqual } from 'node:util';
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
  /** Undefined where the API server publishes no keys, or did not answer for an hour. The first call starts to read. */
  readonly get: () => Promise<Issuer | undefined>;
  /** Reads again because a token has an unknown key; at most every 30 s, so that forged tokens cause no more calls. */
  readonly refresh: () => Promise<Issuer | undefined>;
  /** Another number after each change of the issuer or of its keys. */
  readonly version: number;
  stop(): void;
}

const intervalMs = 2 * 60_000;
const cooldownMs = 30_000;
/**
 * How long keys are kept while the API server does not answer: as long as the bound tokens of sidecars live, which it alone renews. After that no
 * token is left that they could verify.
 */
const keptMs = 3600_000;

export function createIssuerSource(options: { client: KubeClient; log: Logger; clock: Clock }): IssuerSource {
  const reader = new IssuerReader(options);
  return {
    async get() {
      if (reader.issuer === undefined) await reader.readIfDue();
      return reader.issuer;
    },
    async refresh() {
      await reader.readIfDue();
      return reader.issuer;
    },
    get version() {
      return reader.version;
    },
    stop: () => reader.stop(),
  };
}

class IssuerReader {
  version = 0;
  readonly #options: { client: KubeClient; log: Logger; clock: Clock };
  #published: { name: string; keys: unknown[] } | undefined;
  #issuer: Issuer | undefined;
  #readAt = Number.NEGATIVE_INFINITY;
  #triedAt = Number.NEGATIVE_INFINITY;
  #reading: Promise<void> | undefined;
  #cancelTimer: (() => void) | undefined;
  #stopped = false;

  constructor(options: { client: KubeClient; log: Logger; clock: Clock }) {
    this.#options = options;
  }

  get issuer(): Issuer | undefined {
    return this.#options.clock.now() - this.#readAt < keptMs ? this.#issuer : undefined;
  }

  /** Callers share one read. */
  readIfDue(): Promise<void> {
    if (this.#reading !== undefined) return this.#reading;
    return this.#options.clock.now() - this.#triedAt < cooldownMs ? Promise.resolve() : this.#read();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancelTimer?.();
  }

  #read(): Promise<void> {
    this.#cancelTimer?.();
    this.#triedAt = this.#options.clock.now();
    this.#reading = this.#fetch().then((ok) => {
      this.#reading = undefined;
      if (!this.#stopped) this.#cancelTimer = this.#options.clock.after(ok ? intervalMs : cooldownMs, () => void this.#read());
    });
    return this.#reading;
  }

  /** False where it failed. */
  async #fetch(): Promise<boolean> {
    const { client, log, clock } = this.#options;
    try {
      const [discovery, keySet] = await Promise.all([
        client.call('GET', '/.well-known/openid-configuration', { timeoutMs: 10_000 }),
        client.call('GET', '/openid/v1/jwks', { timeoutMs: 10_000 }),
      ]);
      const name = stringAt(discovery, 'issuer');
      const keys = at(keySet, 'keys');
      if (name === undefined || !Array.isArray(keys)) throw new Error('the discovery document or the key set is malformed');
      this.#accept(name, keys);
      this.#readAt = clock.now();
      return true;
    } catch (error) {
      log.warn({ error: String(error) }, 'keys of service account tokens cannot be read; TokenReview checks tokens of unknown keys');
      return false;
    }
  }

  #accept(name: string, keys: unknown[]): void {
    if (isDeepStrictEqual(this.#published, { name, keys })) return;
    this.#issuer = { name, key: createLocalJWKSet({ keys: keys.filter(isRecord) }) };
    this.#published = { name, keys };
    this.version += 1;
  }
}
