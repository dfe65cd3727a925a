// One entry of the token cache: which token it may serve, when that is refreshed, and to which identity it belongs.
import type { IdentityRow } from '../../api/broker.ts';
import { rowKey } from '../../api/identity-choice.ts';
import type { TokenQuery } from './source.ts';
import type { Token } from './token.ts';
import { expiryOf, secondsLeft } from './token.ts';

/** MSAL takes a token with less than this left for expired and asks again at once. */
const minSeconds = 300;
const bypassIntervalMs = 30_000;

export interface Entry {
  readonly key: string;
  row: IdentityRow;
  token: Token | undefined;
  /** The source gave the token with less than {@link minSeconds} left: it is served as long as it is valid. */
  shortLived: boolean;
  /** Clock.wall() from which a use of the token starts a refresh. */
  refreshAt: number;
  /** Clock.now() of the last fetch with `bypass_cache`. */
  bypassedAt: number;
}

export function createEntry(query: TokenQuery): Entry {
  return {
    key: keyOf(query),
    row: query.row,
    token: undefined,
    shortLived: false,
    refreshAt: 0,
    bypassedAt: Number.NEGATIVE_INFINITY,
  };
}

/**
 * Two queries share a key only if they ask for the same token: the free texts come last, the first of them with its length. The row is part
 * of the key, because two AzureIdentity objects may name one Azure identity, and each request for the one would drop the fetch of the other.
 * Its source is not: an identity that is switched between IMDS and the broker keeps its tokens.
 */
export function keyOf({ row, resource, xmsCc = '' }: TokenQuery): string {
  const id = row.type === 0 ? row.resourceID.toLowerCase() : `${row.clientID.toLowerCase()} ${row.tenantID ?? ''}`;
  return `${rowKey(row)} ${row.type} ${id} ${xmsCc.length} ${xmsCc} ${resource}`;
}

export function usableToken({ token, shortLived }: Entry, wallMs: number): Token | undefined {
  if (token === undefined) return undefined;
  return secondsLeft(token, wallMs) >= (shortLived ? 1 : minSeconds) ? token : undefined;
}

/**
 * A token is refreshed after half of its life, give or take 10 %, which spreads pods that start together. A source that returns a token of
 * the same expiry has no newer one yet: the next refresh waits for 10 % of the rest, and for five minutes at least.
 */
export function storeToken(entry: Entry, token: Token, wallMs: number, random: number): void {
  const lifeMs = Math.max(0, expiryOf(token) * 1000 - wallMs);
  const sameExpiry = entry.token !== undefined && expiryOf(entry.token) === expiryOf(token);
  entry.refreshAt = wallMs + (sameExpiry ? Math.max(300_000, lifeMs * 0.1) : lifeMs * 0.5 * (0.9 + 0.2 * random));
  entry.shortLived = lifeMs < minSeconds * 1000;
  entry.token = token;
}

/** A token that is still good is used on after a failed refresh; the next use tries again, but not at once. */
export function postponeRefresh(entry: Entry, wallMs: number, random: number): void {
  entry.refreshAt = Math.max(entry.refreshAt, wallMs + 30_000 * (1 + random));
}

export function mayBypass(entry: Entry, now: number): boolean {
  return now - entry.bypassedAt >= bypassIntervalMs;
}

/** The row with the ids that are known: one without them, as while its AzureAssignedIdentity is gone, does not make them unknown. */
export function withKnownIds({ clientID, objectID }: IdentityRow, row: IdentityRow): IdentityRow {
  const ids = { clientID: row.clientID || clientID, objectID: row.objectID ?? objectID };
  // The same row again is what makes the next look-up quick.
  if (ids.clientID === row.clientID && ids.objectID === row.objectID) return row;
  return { ...row, clientID: ids.clientID, ...(ids.objectID === undefined ? {} : { objectID: ids.objectID }) };
}

/** Both rows are the same object and mean the same Azure identity. State, reason and source may differ, and ids may become known. */
export function isSameIdentity(a: IdentityRow, b: IdentityRow): boolean {
  const equal = (x = '', y = '') => x === y || x.toLowerCase() === y.toLowerCase();
  return (
    a.type === b.type &&
    rowKey(a) === rowKey(b) &&
    equal(a.resourceID, b.resourceID) &&
    (equal(a.clientID, b.clientID) || (a.type === 0 && (a.clientID === '' || b.clientID === ''))) &&
    equal(a.tenantID, b.tenantID) &&
    equal(a.auxiliaryTenantIDs?.join(), b.auxiliaryTenantIDs?.join()) &&
    (a.objectID === undefined || b.objectID === undefined || equal(a.objectID, b.objectID))
  );
}
