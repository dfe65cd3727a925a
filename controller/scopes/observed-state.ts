// What the last GET of a scope showed, and how long it counts. Pure.
import type { AttachedIdentity } from '../azure/arm/identity-map.ts';

/** By lower-case ARM id of the identity. */
export type Attached = ReadonlyMap<string, AttachedIdentity>;

/** All times are milliseconds since the epoch. */
export interface ObservedState {
  /** Undefined: never read, or invalid since. */
  readonly attached: Attached | undefined;
  /** As the last GET showed. */
  readonly imdsRestricted: boolean;
  readonly readAt: number;
  /** The next regular GET is due at this time. */
  readonly staleAt: number;
  /** Refreshes that were requested so far, and those of them that a GET has answered since. */
  readonly refreshes: { readonly requested: number; readonly answered: number };
}

export const nothingObserved: ObservedState = {
  attached: undefined,
  imdsRestricted: false,
  readAt: 0,
  staleAt: 0,
  refreshes: { requested: 0, answered: 0 },
};

/** A scale set allows 12 reads a minute, so pods that arrive one by one share a GET for this long. */
const freshMs = 30_000;

/** A sidecar reports that IMDS disagrees, or the GET fell into an operation: the next GET comes early. */
export const requestRefresh = (state: ObservedState): ObservedState => ({
  ...state,
  refreshes: { ...state.refreshes, requested: state.refreshes.requested + 1 },
});

/** A GET that succeeded. */
export interface ScopeRead {
  attached: Attached;
  imdsRestricted: boolean;
  /** `refreshes.requested` when it was sent; a request during the GET is not answered by it. */
  requestedBefore: number;
  now: number;
  intervalMs: number;
  /** From 0 to 1: keeps scopes that were read together from being read together for ever. */
  spread: number;
}

export function observe(state: ObservedState, read: ScopeRead): ObservedState {
  const { attached, imdsRestricted, requestedBefore, now, intervalMs, spread } = read;
  return {
    attached,
    imdsRestricted,
    readAt: now,
    staleAt: now + intervalMs + (intervalMs * spread) / 10,
    refreshes: { ...state.refreshes, answered: requestedBefore },
  };
}

export const invalidate = (state: ObservedState): ObservedState => ({ ...state, attached: undefined });

/** What is written, or was, is unknown until the next GET; the rest still counts. */
export function invalidateIdentities(state: ObservedState, ids: Iterable<string>): ObservedState {
  if (state.attached === undefined) return state;
  const attached = new Map(state.attached);
  for (const id of ids) attached.delete(id);
  return { ...state, attached };
}

/** Undefined: at once. Requests that come together, as after an attachment, share one GET a twentieth of the interval later. */
export function nextReadAt(state: ObservedState, intervalMs: number): number | undefined {
  if (state.attached === undefined) return undefined;
  return state.refreshes.requested > state.refreshes.answered ? state.readAt + intervalMs / 20 : state.staleAt;
}

export const isReadDue = (state: ObservedState, intervalMs: number, now: number): boolean => now >= (nextReadAt(state, intervalMs) ?? now);

/** Recent enough to act upon. */
export const isFresh = (state: ObservedState, intervalMs: number, now: number): boolean =>
  state.attached !== undefined && now < state.readAt + Math.min(freshMs, intervalMs);

/** Good enough while Azure cannot be called. */
export const isUsable = (state: ObservedState, intervalMs: number, now: number): boolean =>
  state.attached !== undefined && now < state.readAt + intervalMs;
