// Tokens of federated identities, shared by all pods: by what a token depends on, never by the pod that asks.
import { LRUCache } from 'lru-cache';
import type { Clock } from '../../common/clock.ts';
import type { ObtainedToken } from '../token-response.ts';

/** What a token depends on. */
export interface TokenKey {
  authority: string;
  tenantId: string;
  clientId: string;
  scope: string;
  capabilities: readonly string[];
}

interface Entry {
  token: ObtainedToken;
  client: string;
  /** Clock.wall() from which a use starts a refresh. */
  refreshAt: number;
  /** Clock.now() of the last refresh that a caller asked for. */
  forcedAt: number;
}

export const textOf = ({ authority, tenantId, clientId, scope, capabilities }: TokenKey): string =>
  JSON.stringify([authority, tenantId.toLowerCase(), clientId.toLowerCase(), scope, capabilities]);

const capacity = 5_000;
/** Of one client: pods choose the resources, and can write one in many ways. */
const capacityOfClient = 200;
/** Azure SDKs take a token with less than this left for expired and ask again at once. */
const minLeftMs = 300_000;
/** A token is refreshed after half of its life, give or take 10 %, so that replicas and identities that began together spread. */
const refreshShare = 0.5;
const forceIntervalMs = 30_000;
const postponeMs = 30_000;

export class SharedTokens {
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #entries: LRUCache<string, Entry>;
  /** Keys of the entries of each client, the one that was set longest ago first. */
  readonly #keysOfClients = new Map<string, Set<string>>();

  constructor({ clock, random }: { clock: Clock; random: () => number }) {
    this.#clock = clock;
    this.#random = random;
    this.#entries = new LRUCache({
      max: capacity,
      perf: { now: () => clock.now() },
      ttlResolution: 0,
      dispose: ({ client }, key, reason) => {
        if (reason !== 'set') this.#forget(client, key);
      },
    });
  }

  /** A token with some life left, and whether it is time to refresh it. */
  get(key: string): { token: ObtainedToken; isDue: boolean } | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined || this.#leftOf(entry.token) < minLeftMs) return undefined;
    return { token: entry.token, isDue: this.#clock.wall() >= entry.refreshAt };
  }

  /** One that is valid, for when there is no better one. */
  last(key: string): ObtainedToken | undefined {
    const token = this.#entries.get(key)?.token;
    return token !== undefined && this.#leftOf(token) > 0 ? token : undefined;
  }

  set(of: TokenKey, token: ObtainedToken): void {
    const left = this.#leftOf(token);
    if (left <= 0) return;
    const key = textOf(of);
    const forcedAt = this.#entries.get(key)?.forcedAt ?? Number.NEGATIVE_INFINITY;
    const refreshAt = this.#clock.wall() + left * refreshShare * (0.9 + 0.2 * this.#random());
    const client = `${of.tenantId} ${of.clientId}`.toLowerCase();
    this.#entries.set(key, { token, client, refreshAt, forcedAt }, { ttl: left });
    const keys = this.#keysOfClients.get(client) ?? new Set();
    keys.delete(key);
    this.#keysOfClients.set(client, keys.add(key));
    const [oldest] = keys;
    if (keys.size > capacityOfClient && oldest !== undefined) this.#entries.delete(oldest);
  }

  #forget(client: string, key: string): void {
    const keys = this.#keysOfClients.get(client);
    keys?.delete(key);
    if (keys?.size === 0) this.#keysOfClients.delete(client);
  }

  /** True once in half a minute: then the caller may have a new token. */
  mayForce(key: string): boolean {
    const entry = this.#entries.get(key);
    const now = this.#clock.now();
    if (entry === undefined || now - entry.forcedAt < forceIntervalMs) return false;
    entry.forcedAt = now;
    return true;
  }

  /** After a failed refresh. */
  postpone(key: string): void {
    const entry = this.#entries.get(key);
    if (entry !== undefined) entry.refreshAt = Math.max(entry.refreshAt, this.#clock.wall() + postponeMs * (1 + this.#random()));
  }

  #leftOf({ expiresOn }: ObtainedToken): number {
    return expiresOn.getTime() - this.#clock.wall();
  }
}
