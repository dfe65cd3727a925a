// What the reconciler remembers of one scope between two reconciliations, and how it changes. Pure: every transition returns a new state.
// Only the ownership record outlives a restart; all of this may be lost.
import type { Need } from '../../lib/identities/need.ts';
import type { Backoff } from './backoff.ts';
import { blockCalls, blockWrites, countFailure, noBackoff, resetFailures } from './backoff.ts';
import type { UnusedSince } from './detach-delay.ts';
import { trackUnused } from './detach-delay.ts';
import type { Failures } from './failure-status.ts';
import { forgetIdentity, noFailures, unexpired } from './failure-status.ts';
import type { ObservedState, ScopeRead } from './observed-state.ts';
import { invalidate, invalidateIdentities, nothingObserved, observe, requestRefresh } from './observed-state.ts';
import type { OwnershipRecord } from './ownership.ts';
import type { Pace } from './pace.ts';
import { azureLimits, fullPace, nextWriteAt, spend } from './pace.ts';
import type { Entry, Quarantine } from './quarantine.ts';
import { afterWrite, emptyQuarantine, forgetUnwanted, heldEntryOf, lift } from './quarantine.ts';
import { selectWrite } from './select-write.ts';

/** All times are milliseconds since the epoch. */
export interface ScopeState {
  readonly observed: ObservedState;
  readonly backoff: Backoff;
  readonly pace: Pace;
  readonly quarantine: Quarantine;
  /** Versions of the AzureIdentity objects of each quarantined id when it failed: a change of one lifts the quarantine. */
  readonly failedVersions: ReadonlyMap<string, string>;
  readonly failures: Failures;
  readonly unused: UnusedSince;
  /** Attached ids that Azure no longer knows, so that it refuses every write that keeps them. */
  readonly gone: ReadonlySet<string>;
  /** Since when nothing needs the scope and nothing on it is ours. */
  readonly idleSince: number | undefined;
  /** A person paused the writes to the scope, as the record said last. */
  readonly paused: boolean;
  /** Ids that the operation under way is about; undefined: none is under way. */
  readonly writing: ReadonlySet<string> | undefined;
}

export const initialState: ScopeState = {
  observed: nothingObserved,
  backoff: noBackoff,
  pace: fullPace(azureLimits),
  quarantine: emptyQuarantine,
  failedVersions: new Map(),
  failures: noFailures,
  unused: new Map(),
  gone: new Set(),
  idleSince: undefined,
  paused: false,
  writing: undefined,
};

/** A write that may be tried now. `trial`: it holds only identities of namespaces that are suspected of having made a write fail. */
export interface SelectedWrite {
  readonly entries: readonly Entry[];
  readonly trial: boolean;
}

export interface WriteSelection {
  /** Undefined: nothing may be written now. */
  readonly selected: SelectedWrite | undefined;
  /** When something that is held back now may be written; infinite: nothing is held back. */
  readonly nextAt: number;
}

/** The part of what is wanted that quarantine, back-off and pace let through. */
export function select({ quarantine, backoff, pace }: ScopeState, wanted: readonly Entry[], now: number): WriteSelection {
  const { entries, trial, nextAt } = selectWrite(quarantine, wanted, now);
  const allowedAt = Math.max(backoff.writesBlockedUntil, nextWriteAt(pace, trial, now));
  if (entries.length > 0 && allowedAt <= now) return { selected: { entries, trial }, nextAt };
  return { selected: undefined, nextAt: Math.max(allowedAt, entries.length > 0 ? now : nextAt) };
}

/** Before planning: what pods need, and what the ownership record has. */
export function needsKnown(state: ScopeState, input: { needs: readonly Need[]; record: OwnershipRecord; now: number }): ScopeState {
  const { needs, record, now } = input;
  const unused = trackUnused(state.unused, record.identities.keys(), new Set(needs.map(({ identityId }) => identityId)), now);
  const lifted = { ...liftChanged(state, needs, now), unused, paused: record.paused };
  return needs.length === 0 ? lifted : { ...lifted, idleSince: undefined };
}

/** A GET succeeded: Azure has the scope. */
export const observed = (state: ScopeState, read: ScopeRead): ScopeState => ({
  ...state,
  observed: observe(state.observed, read),
  gone: new Set([...state.gone].filter((id) => read.attached.has(id))),
  idleSince: undefined,
});

/** Azure refused a write, because these ids are attached and no longer exist. */
export const attachedIdentitiesGone = (state: ScopeState, ids: Iterable<string>): ScopeState => ({
  ...state,
  gone: new Set([...state.gone, ...ids]),
});

/** What is attached of these ids is unknown until the next GET. */
export const identitiesUnknown = (state: ScopeState, ids: Iterable<string>): ScopeState => ({
  ...state,
  observed: invalidateIdentities(state.observed, ids),
});

/** What is attached is unknown until the next GET. */
export const allUnknown = (state: ScopeState): ScopeState => ({ ...state, observed: invalidate(state.observed) });

export const refreshRequested = (state: ScopeState): ScopeState => ({ ...state, observed: requestRefresh(state.observed) });

export const idleAt = (state: ScopeState, now: number): ScopeState => ({ ...state, idleSince: state.idleSince ?? now });

export const writeBegun = (state: ScopeState, ids: Iterable<string>): ScopeState => ({ ...state, writing: new Set(ids) });

export const writeEnded = (state: ScopeState): ScopeState => ({ ...state, writing: undefined });

export const callsBlocked = (state: ScopeState, until: number): ScopeState => ({ ...state, backoff: blockCalls(state.backoff, until) });

export const writesBlocked = (state: ScopeState, until: number): ScopeState => ({ ...state, backoff: blockWrites(state.backoff, until) });

export const failuresKnown = (state: ScopeState, failures: Failures): ScopeState => ({ ...state, failures });

export const failuresExpired = (state: ScopeState, now: number): ScopeState => ({ ...state, failures: unexpired(state.failures, now) });

export const forgetUnneeded = (state: ScopeState, wanted: readonly Entry[], now: number): ScopeState => ({
  ...state,
  quarantine: forgetUnwanted(state.quarantine, wanted, now),
});

export const writesSent = (state: ScopeState, writes: number, now: number): ScopeState => ({
  ...state,
  pace: spend(state.pace, writes, now),
});

export const settled = (state: ScopeState): ScopeState => ({ ...state, backoff: resetFailures(state.backoff) });

export function writeSucceeded(state: ScopeState, selected: SelectedWrite, now: number): ScopeState {
  const written = new Set(selected.entries.map(({ id }) => id));
  return {
    ...settled(state),
    quarantine: afterWrite(state.quarantine, selected, { ok: true }, now),
    failedVersions: new Map([...state.failedVersions].filter(([id]) => !written.has(id))),
  };
}

/** An identity of the write is to blame. `culprits`: the ids that Azure named. */
export function identitiesBlamed(
  state: ScopeState,
  failed: { selected: SelectedWrite; culprits: ReadonlySet<string>; needs: readonly Need[]; now: number },
): ScopeState {
  const { selected, culprits, needs, now } = failed;
  const quarantine = afterWrite(state.quarantine, selected, { ok: false, culprits }, now);
  const written = new Set(selected.entries.map(({ id }) => id));
  const isHeld = ({ identityId: id }: Need) => written.has(id) && heldEntryOf(quarantine, id) !== undefined;
  return { ...state, quarantine, failedVersions: new Map([...state.failedVersions, ...versionsOf(needs.filter(isHeld))]) };
}

/**
 * A change of an AzureIdentity, an annotation is enough, lifts the quarantine of its id. The budget of its namespace and the pace of the scope still
 * count, so that a tenant who changes an object again and again does not use up the scope's writes.
 */
export function liftChanged(state: ScopeState, needs: readonly Need[], now: number): ScopeState {
  if (state.failedVersions.size === 0) return state;
  const versions = versionsOf(needs);
  let next = state;
  for (const [id, failedVersion] of state.failedVersions) {
    if (versions.get(id) === failedVersion) continue;
    const failedVersions = new Map(next.failedVersions);
    failedVersions.delete(id);
    next = { ...next, failedVersions, quarantine: lift(next.quarantine, id, now), failures: forgetIdentity(next.failures, id) };
  }
  return next;
}

/** One more failure in a row. */
export const failed = (state: ScopeState): ScopeState => ({ ...state, backoff: countFailure(state.backoff) });

/** By id: the versions of all AzureIdentity objects that stand for it. */
function versionsOf(needs: readonly Need[]): Map<string, string> {
  const versions = new Map<string, Set<string>>();
  for (const { identityId, match } of needs) {
    const known = versions.get(identityId) ?? new Set();
    known.add(`${match.identity.key} ${match.identity.object.metadata.resourceVersion ?? ''}`);
    versions.set(identityId, known);
  }
  return new Map([...versions].map(([id, objects]) => [id, [...objects].sort().join('\n')]));
}
