// What the reconciler remembers of one scope between two reconciliations, and how it changes. Pure: every transition returns a new state.
// Only the ownership record outlives a restart; all of this may be lost.
import type { Need } from '../../lib/identities/need.ts';
import type { Write } from '../azure/arm/identity-map.ts';
import type { Backoff } from './backoff.ts';
import { areWritesBlocked, countFailure, noBackoff, resetFailures } from './backoff.ts';
import type { UnusedSince } from './detach-delay.ts';
import type { Failures } from './failure-status.ts';
import { forgetIdentity, noFailures } from './failure-status.ts';
import type { ObservedState } from './observed-state.ts';
import { nothingObserved } from './observed-state.ts';
import type { Quarantine } from './quarantine.ts';
import { afterWrite, emptyQuarantine, forgetUnwanted, lift, nextTrialAt, quarantineOf, selectWrite } from './quarantine.ts';

/** All times are milliseconds since the epoch. */
export interface ScopeState {
  readonly observed: ObservedState;
  readonly backoff: Backoff;
  readonly quarantine: Quarantine;
  /** When something that the quarantine holds back may be tried; infinite: nothing is held back. */
  readonly heldUntil: number;
  /** Versions of the AzureIdentity objects of each quarantined id when it failed: a change of one lifts the quarantine. */
  readonly failedVersions: ReadonlyMap<string, string>;
  readonly failures: Failures;
  readonly unused: UnusedSince;
  /** Since when nothing needs the scope and nothing on it is ours. */
  readonly idleSince: number | undefined;
  /** Ids that the operation under way is about; undefined: none is under way. */
  readonly writing: ReadonlySet<string> | undefined;
}

export const initialState: ScopeState = {
  observed: nothingObserved,
  backoff: noBackoff,
  quarantine: emptyQuarantine,
  heldUntil: Number.POSITIVE_INFINITY,
  failedVersions: new Map(),
  failures: noFailures,
  unused: new Map(),
  idleSince: undefined,
  writing: undefined,
};

/** A write that may be tried now. `trial`: it holds only identities that are suspected of having made a write fail. */
export interface SelectedWrite {
  readonly write: Write;
  readonly trial: boolean;
}

/** Selects the part of what is wanted that may be written now; undefined: none. */
export function select(state: ScopeState, wanted: Write, now: number): { state: ScopeState; selected: SelectedWrite | undefined } {
  const quarantine = forgetUnwanted(state.quarantine, wanted);
  const { write, trial, nextAt } = selectWrite(quarantine, wanted, now);
  const selected = write === undefined || areWritesBlocked(state.backoff, now) ? undefined : { write, trial };
  return { state: { ...state, quarantine, heldUntil: nextAt ?? Number.POSITIVE_INFINITY }, selected };
}

export const settled = (state: ScopeState): ScopeState => ({ ...state, backoff: resetFailures(state.backoff) });

export function writeSucceeded(state: ScopeState, selected: SelectedWrite, now: number): ScopeState {
  const written = new Set(selected.write.attach);
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
  const held = new Set(selected.write.attach.filter((id) => quarantineOf(quarantine, id) !== undefined));
  const failedVersions = new Map([...state.failedVersions, ...versionsOf(needs.filter(({ identityId }) => held.has(identityId)))]);
  return { ...state, quarantine, failedVersions, heldUntil: now };
}

/**
 * A change of an AzureIdentity, an annotation is enough, lifts the quarantine of its id. The budget of trials still counts, so that a tenant who
 * changes an object again and again does not use up the scope's writes.
 */
export function liftChanged(state: ScopeState, needs: readonly Need[], now: number): ScopeState {
  if (state.failedVersions.size === 0) return state;
  let next = state;
  const versions = versionsOf(needs);
  for (const [id, failedVersion] of state.failedVersions) {
    if (versions.get(id) === failedVersion) continue;
    const failedVersions = new Map(next.failedVersions);
    failedVersions.delete(id);
    const quarantine = lift(next.quarantine, id, now);
    next = {
      ...next,
      failedVersions,
      quarantine,
      failures: forgetIdentity(next.failures, id),
      heldUntil: Math.min(next.heldUntil, Math.max(now, nextTrialAt(quarantine.trials, now))),
    };
  }
  return next;
}

/** One more failure in a row. */
export const failed = (state: ScopeState): ScopeState => ({ ...state, backoff: countFailure(state.backoff) });

/** Milliseconds until something becomes due without a change; infinite where nothing does. */
export const nextTryMs = ({ heldUntil, backoff }: ScopeState, now: number): number =>
  Math.min(heldUntil - now, areWritesBlocked(backoff, now) ? backoff.writesBlockedUntil - now : Number.POSITIVE_INFINITY);

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
