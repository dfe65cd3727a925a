// What the reconciler remembers of one identity between two reconciliations, and how it changes. Pure: every transition returns a new state.
// Only the record outlives a restart; all of this may be lost.
import type { Need } from '../../lib/identities/need.ts';
import type { Failure } from './failure.ts';

/** All times are milliseconds since the epoch. */
export interface IdentityState {
  /** Neither Azure nor the broker is called before. */
  readonly blockedUntil: number;
  /** In a row. */
  readonly failures: number;
  /** Of the last try, for pods that come before the next one. */
  readonly failure: Failure | undefined;
  /** Of the AzureIdentity objects when it failed: a change of one of them ends the block. */
  readonly failedVersions: string;
  /** When the record was compared with Azure, and proven; undefined: not since the start. */
  readonly comparedAt: number | undefined;
  /** Comparisons that were asked for, and how many of them had been when the last one began. */
  readonly refreshes: { readonly requested: number; readonly done: number };
}

export const initialState: IdentityState = {
  blockedUntil: 0,
  failures: 0,
  failure: undefined,
  failedVersions: '',
  comparedAt: undefined,
  refreshes: { requested: 0, done: 0 },
};

export const versionsOf = (needs: readonly Need[]): string =>
  [...new Set(needs.map(({ match: { identity } }) => `${identity.key} ${identity.object.metadata.resourceVersion}`))].sort().join();

/** The author of an AzureIdentity changed it, perhaps for the failure. */
export const needsKnown = (state: IdentityState, versions: string): IdentityState =>
  state.failure !== undefined && state.failedVersions !== versions
    ? { ...state, blockedUntil: 0, failures: 0, failure: undefined, failedVersions: '' }
    : state;

export const refreshRequested = (state: IdentityState): IdentityState => ({
  ...state,
  refreshes: { ...state.refreshes, requested: state.refreshes.requested + 1 },
});

export const isRefreshDue = ({ refreshes }: IdentityState): boolean => refreshes.requested > refreshes.done;

/** `failure.until`: when the next try is due. */
export const failed = (state: IdentityState, failure: Failure, versions: string): IdentityState => ({
  ...state,
  failures: state.failures + 1,
  failure,
  failedVersions: versions,
});

export const blocked = (state: IdentityState, until: number): IdentityState => ({ ...state, blockedUntil: until });

/** `requested`: refreshes that had been asked for when the comparison began. */
export const compared = (state: IdentityState, { requested, now }: { requested: number; now: number }): IdentityState => ({
  ...initialState,
  comparedAt: now,
  refreshes: { requested: state.refreshes.requested, done: requested },
});
