// Tokens in memory, one fetch at a time for each of them (design 5, tokens). A fetch belongs to its entry and outlives its callers.
import type { IdentityRow } from '../../api/broker.ts';
import type { Clock } from '../../common/clock.ts';
import { rowKey } from '../identities/store.ts';
import type { Event } from '../time.ts';
import { createEvent, pause } from '../time.ts';
import type { Outcome, TokenQuestion, TokenSource, Trouble } from './source.ts';
import { retryDelay } from './source.ts';
import type { Token } from './token.ts';
import { endOf, secondsLeft } from './token.ts';

const capacity = 256;
/** MSALs treat a token with less than this left as expired and ask again at once. */
const leastSeconds = 300;
const bypassEveryMs = 30_000;
const refreshMs = 45_000;

export interface Flight {
  /** Fires once `result` is there. */
  readonly settled: Event;
  /** Undefined while it runs; `dropped` when the identity changed or went, so that nobody may use what it brings. */
  readonly result: Outcome | 'dropped' | undefined;
  /** Of the last try, while it runs. */
  readonly trouble: Trouble | undefined;
}

export type Look = { token: Token } | { flight: Flight } | 'not cached' | 'full';

export interface TokenCache {
  /**
   * The cached token, or the fetch that will bring one. `deadline` (Clock.now()) is how long this caller can use it; `mayFetch: false`
   * asks for what is there only.
   */
  look(question: TokenQuestion, options: { deadline: number; mayFetch: boolean }): Look;
  /** A token that may be served although a fetch failed. */
  fallback(question: TokenQuestion): Token | undefined;
  /** Drops everything that belongs to none of these identities as they are now. */
  retain(rows: readonly IdentityRow[]): void;
  readonly size: number;
}

interface Entry {
  key: string;
  row: IdentityRow;
  token: Token | undefined;
  /** The source itself gave it with less than {@link leastSeconds}: it is served as long as it is valid. */
  short: boolean;
  /** Clock.wall() from which a use of the token starts a refresh. */
  refreshAt: number;
  flight: RunningFlight | undefined;
  bypassedAt: number;
}

interface RunningFlight extends Flight {
  result: Flight['result'];
  trouble: Trouble | undefined;
  bypass: boolean;
  /** Clock.now() up to which some caller waits for it. */
  until: number;
  controller: AbortController;
}

export interface CacheOptions {
  sourceOf: (row: IdentityRow) => TokenSource;
  clock: Clock;
  random: () => number;
  /** How each fetch ended, dropped ones excepted. */
  onResult: (question: TokenQuestion, outcome: Outcome) => void;
}

export function createTokenCache(options: CacheOptions): TokenCache {
  const { clock, random } = options;
  const entries = new Map<string, Entry>();

  const usable = (entry: Entry) => {
    if (entry.token === undefined) return undefined;
    return secondsLeft(entry.token, clock.wall()) >= (entry.short ? 1 : leastSeconds) ? entry.token : undefined;
  };

  const drop = (entry: Entry) => {
    entries.delete(entry.key);
    if (entry.flight === undefined) return;
    entry.flight.result = 'dropped';
    entry.flight.controller.abort();
    entry.flight.settled.fire();
  };

  const store = (entry: Entry, token: Token) => {
    const now = clock.wall();
    const life = Math.max(0, endOf(token) * 1000 - now);
    const same = entry.token !== undefined && endOf(entry.token) === endOf(token);
    entry.refreshAt = now + (same ? Math.max(300_000, life * 0.1) : life * 0.5 * (0.9 + 0.2 * random()));
    entry.short = life < leastSeconds * 1000;
    entry.token = token;
  };

  const fly = async (entry: Entry, flight: RunningFlight, question: TokenQuestion) => {
    const source = options.sourceOf(question.row);
    for (let tries = 1; ; tries += 1) {
      const outcome = await source.fetch(question, flight.controller.signal);
      if (flight.result === 'dropped') return;
      if ('token' in outcome) {
        store(entry, outcome.token);
        flight.result = outcome;
        break;
      }
      flight.trouble = outcome.trouble;
      const delay = retryDelay(outcome.trouble, tries, random());
      if (delay === undefined || clock.now() + delay >= flight.until) {
        flight.result = outcome;
        // The next use of a token that is still good tries again, but not at once.
        entry.refreshAt = Math.max(entry.refreshAt, clock.wall() + 30_000 * (1 + random()));
        break;
      }
      await pause(clock, delay, { signal: flight.controller.signal });
      if (flight.controller.signal.aborted) return;
    }
    entry.flight = undefined;
    if (entry.token === undefined) entries.delete(entry.key);
    flight.settled.fire();
    options.onResult(question, flight.result);
  };

  const launch = (entry: Entry, question: TokenQuestion, until: number): RunningFlight => {
    const flight: RunningFlight = {
      settled: createEvent(),
      result: undefined,
      trouble: undefined,
      bypass: question.bypass,
      until,
      controller: new AbortController(),
    };
    entry.flight = flight;
    void fly(entry, flight, question);
    return flight;
  };

  const find = (question: TokenQuestion): Entry | undefined => {
    const entry = entries.get(keyOf(question));
    if (entry === undefined || entry.row === question.row) return entry;
    if (sameIdentity(entry.row, question.row)) {
      entry.row = question.row;
      return entry;
    }
    drop(entry);
    return undefined;
  };

  const create = (question: TokenQuestion): Entry | undefined => {
    if (entries.size >= capacity) {
      const oldest = [...entries.values()].find((entry) => entry.flight === undefined);
      if (oldest === undefined) return undefined;
      drop(oldest);
    }
    const key = keyOf(question);
    const entry: Entry = {
      key,
      row: question.row,
      token: undefined,
      short: false,
      refreshAt: 0,
      flight: undefined,
      bypassedAt: Number.NEGATIVE_INFINITY,
    };
    entries.set(key, entry);
    return entry;
  };

  return {
    get size() {
      return entries.size;
    },
    look(question, { deadline, mayFetch }) {
      const found = find(question);
      const token = found === undefined ? undefined : usable(found);
      if (!mayFetch) return token === undefined ? 'not cached' : { token };
      const entry = found ?? create(question);
      if (entry === undefined) return 'full';
      // The map's order is the order of last use.
      entries.delete(entry.key);
      entries.set(entry.key, entry);

      const now = clock.now();
      const bypass = question.bypass && now - entry.bypassedAt >= bypassEveryMs;
      if (token !== undefined && !bypass) {
        if (entry.flight === undefined && clock.wall() >= entry.refreshAt) launch(entry, { ...question, bypass: false }, now + refreshMs);
        return { token };
      }
      if (entry.flight !== undefined) {
        entry.flight.until = Math.max(entry.flight.until, deadline);
        return { flight: entry.flight };
      }
      if (bypass) entry.bypassedAt = now;
      return { flight: launch(entry, { ...question, bypass }, deadline) };
    },
    fallback(question) {
      const entry = find(question);
      return entry === undefined ? undefined : usable(entry);
    },
    retain(rows) {
      for (const entry of [...entries.values()]) {
        if (!rows.some((row) => sameIdentity(row, entry.row))) drop(entry);
      }
    },
  };
}

/**
 * Free text last and the other free text with its length: no two questions share a key. By row too: two objects may name one Azure identity, and
 * where they shared an entry each request for the one would drop what the other is fetching.
 */
function keyOf({ row, resource, xmsCc = '' }: TokenQuestion): string {
  const id = row.type === 0 ? row.resourceID.toLowerCase() : `${row.clientID.toLowerCase()} ${row.tenantID ?? ''}`;
  return `${rowKey(row)} ${row.type} ${id} ${xmsCc.length} ${xmsCc} ${resource}`;
}

/** The same Azure identity for the same object; state and reason may differ. An object id that becomes known is no change. */
function sameIdentity(a: IdentityRow, b: IdentityRow): boolean {
  const equal = (x = '', y = '') => x === y || x.toLowerCase() === y.toLowerCase();
  return (
    a.type === b.type &&
    rowKey(a) === rowKey(b) &&
    equal(a.resourceID, b.resourceID) &&
    equal(a.clientID, b.clientID) &&
    equal(a.tenantID, b.tenantID) &&
    equal(a.auxiliaryTenantIDs?.join(), b.auxiliaryTenantIDs?.join()) &&
    (a.objectID === undefined || b.objectID === undefined || equal(a.objectID, b.objectID))
  );
}
