// Tokens in memory, with one fetch at a time for each of them. A fetch belongs to its entry and outlives its callers
// (docs/adr/0021-token-cache-in-the-sidecar.md).
import type { IdentityRow } from '../../api/broker.ts';
import type { Clock } from '../../common/clock.ts';
import { sleep } from '../../common/sleep.ts';
import type { Notifier } from '../notifier.ts';
import { createNotifier } from '../notifier.ts';
import type { Entry } from './entry.ts';
import { createEntry, isSameIdentity, keyOf, mayBypass, postponeRefresh, storeToken, usableToken, withKnownIds } from './entry.ts';
import type { TokenError, TokenQuery, TokenResult, TokenSource } from './source.ts';
import { retryDelayMs } from './source.ts';
import type { Token } from './token.ts';

const capacity = 256;
const refreshTimeoutMs = 45_000;

/** A fetch that is under way, with its retries. */
export interface TokenFetch {
  /** Notifies when `result` is set. */
  readonly settled: Notifier;
  /** Undefined while it runs; `dropped` when the identity changed or went, so that its token must not be used. */
  readonly result: TokenResult | 'dropped' | undefined;
  /** Error of the last attempt, while it runs. */
  readonly lastError: TokenError | undefined;
}

export type Lookup = { token: Token } | { fetch: TokenFetch } | 'not cached' | 'full';

export interface TokenCacheOptions {
  sourceOf: (row: IdentityRow) => TokenSource;
  clock: Clock;
  random: () => number;
  /** Called with the result of each fetch, except for dropped ones. */
  onResult: (query: TokenQuery, result: TokenResult) => void;
}

interface CacheEntry extends Entry {
  inFlight: InFlight | undefined;
}

interface InFlight extends TokenFetch {
  result: TokenFetch['result'];
  lastError: TokenError | undefined;
  /** Clock.now() up to which a caller waits for it. */
  until: number;
  readonly controller: AbortController;
}

export class TokenCache {
  readonly #options: TokenCacheOptions;
  /** In order of last use. */
  readonly #entries = new Map<string, CacheEntry>();

  constructor(options: TokenCacheOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#entries.size;
  }

  /**
   * The cached token, or the fetch that will bring one. `deadline` (Clock.now()) is the time until which this caller waits.
   * `mayFetch: false` asks for what is cached only.
   */
  lookup(query: TokenQuery, { deadline, mayFetch }: { deadline: number; mayFetch: boolean }): Lookup {
    const { clock } = this.#options;
    const found = this.#find(query);
    const token = found === undefined ? undefined : usableToken(found, clock.wall());
    if (!mayFetch) return token === undefined ? 'not cached' : { token };
    const entry = found ?? this.#create(query);
    if (entry === undefined) return 'full';
    this.#touch(entry);

    const now = clock.now();
    const bypass = query.bypass && mayBypass(entry, now);
    if (token !== undefined && !bypass) {
      if (entry.inFlight === undefined && clock.wall() >= entry.refreshAt)
        this.#start(entry, { ...query, bypass: false }, now + refreshTimeoutMs);
      return { token };
    }
    if (entry.inFlight !== undefined) {
      entry.inFlight.until = Math.max(entry.inFlight.until, deadline);
      return { fetch: entry.inFlight };
    }
    if (bypass) entry.bypassedAt = now;
    return { fetch: this.#start(entry, { ...query, bypass }, deadline) };
  }

  /** A token that may be served although a fetch failed. */
  fallback(query: TokenQuery): Token | undefined {
    const entry = this.#find(query);
    return entry === undefined ? undefined : usableToken(entry, this.#options.clock.wall());
  }

  /** Drops every token that belongs to none of these identities as they are now. */
  retain(rows: readonly IdentityRow[]): void {
    for (const entry of [...this.#entries.values()]) {
      if (!rows.some((row) => isSameIdentity(row, entry.row))) this.#drop(entry);
    }
  }

  #find(query: TokenQuery): CacheEntry | undefined {
    const entry = this.#entries.get(keyOf(query));
    if (entry === undefined || entry.row === query.row) return entry;
    if (isSameIdentity(entry.row, query.row)) {
      entry.row = withKnownIds(entry.row, query.row);
      return entry;
    }
    this.#drop(entry);
    return undefined;
  }

  /** Undefined when the cache is full of tokens that are being fetched. */
  #create(query: TokenQuery): CacheEntry | undefined {
    if (this.#entries.size >= capacity) {
      const oldest = [...this.#entries.values()].find((entry) => entry.inFlight === undefined);
      if (oldest === undefined) return undefined;
      this.#drop(oldest);
    }
    const entry: CacheEntry = { ...createEntry(query), inFlight: undefined };
    this.#entries.set(entry.key, entry);
    return entry;
  }

  #touch(entry: CacheEntry): void {
    this.#entries.delete(entry.key);
    this.#entries.set(entry.key, entry);
  }

  #drop(entry: CacheEntry): void {
    this.#entries.delete(entry.key);
    if (entry.inFlight === undefined) return;
    entry.inFlight.result = 'dropped';
    entry.inFlight.controller.abort();
    entry.inFlight.settled.notify();
  }

  #start(entry: CacheEntry, query: TokenQuery, until: number): InFlight {
    const inFlight: InFlight = {
      settled: createNotifier(),
      result: undefined,
      lastError: undefined,
      until,
      controller: new AbortController(),
    };
    entry.inFlight = inFlight;
    void this.#run(entry, inFlight, query);
    return inFlight;
  }

  async #run(entry: CacheEntry, inFlight: InFlight, query: TokenQuery): Promise<void> {
    const { clock, random, onResult } = this.#options;
    const result = await this.#fetchWithRetries(inFlight, query);
    // The fetch was dropped, so its token must not be used.
    if (inFlight.controller.signal.aborted) return;
    if ('token' in result) storeToken(entry, result.token, clock.wall(), random());
    else postponeRefresh(entry, clock.wall(), random());
    inFlight.result = result;
    entry.inFlight = undefined;
    if (entry.token === undefined) this.#entries.delete(entry.key);
    inFlight.settled.notify();
    onResult(query, result);
  }

  /** Tries again while a caller waits for it. Ends early when the fetch is dropped. */
  async #fetchWithRetries(inFlight: InFlight, query: TokenQuery): Promise<TokenResult> {
    const { clock, random, sourceOf } = this.#options;
    const source = sourceOf(query.row);
    const { signal } = inFlight.controller;
    for (let attempt = 1; ; attempt += 1) {
      const result = await source.fetch(query, signal);
      if (signal.aborted || 'token' in result) return result;
      inFlight.lastError = result.error;
      const delay = retryDelayMs(result.error, attempt, random());
      if (delay === undefined || clock.now() + delay >= inFlight.until) return result;
      await sleep(clock, delay, signal);
      if (signal.aborted) return result;
    }
  }
}
