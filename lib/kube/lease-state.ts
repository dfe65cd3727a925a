// What one candidate for a Lease knows, and its transitions. All times are of its own monotonic clock: clocks of different machines are never
// compared (docs/adr/0013-lease-safety.md).

/** A Lease as the API server has it. */
export interface LeaseRecord {
  /** Empty where the Lease is free. */
  holder: string;
  transitions: number;
  /** Changes with every renewal. */
  resourceVersion: string;
}

export interface LeaseState {
  /** The version of another candidate's Lease that was seen last, when it was seen first, and whether one came before it: then its holder lives. */
  readonly observed: { readonly resourceVersion: string; readonly at: number; readonly isRenewed: boolean } | undefined;
  /** When the last successful renewal was sent; undefined where this candidate does not hold the Lease. */
  readonly renewedAt: number | undefined;
}

export interface LeaseTerms {
  identity: string;
  /** A candidate that sees no renewal of another's Lease for so long takes it. */
  leaseDurationMs: number;
  /** A holder that cannot renew for so long gives up. Shorter than the duration. */
  renewDeadlineMs: number;
}

export const standby: LeaseState = { observed: undefined, renewedAt: undefined };

/** What the read of a Lease says; undefined where there is none. `mayTake`: this candidate may write its name into it. */
export function observe(
  state: LeaseState,
  record: LeaseRecord | undefined,
  { identity, leaseDurationMs }: LeaseTerms,
  now: number,
): { state: LeaseState; mayTake: boolean } {
  if (record === undefined || record.holder === '' || record.holder === identity)
    return { state: { ...state, observed: undefined }, mayTake: true };
  const { resourceVersion } = record;
  const isSame = state.observed?.resourceVersion === resourceVersion;
  const observed = isSame ? state.observed : { resourceVersion, at: now, isRenewed: state.observed !== undefined };
  return { state: { observed, renewedAt: undefined }, mayTake: now - observed.at >= leaseDurationMs };
}

/** The Lease was written. The time counts from before the write was sent: others may have seen it at any moment since. */
export const renewed = (sentAt: number): LeaseState => ({ observed: undefined, renewedAt: sentAt });

/** How long the holder may still act; 0 where this candidate does not hold the Lease. */
export function remainingMs(state: LeaseState, { renewDeadlineMs }: LeaseTerms, now: number): number {
  return state.renewedAt === undefined ? 0 : Math.max(0, state.renewedAt + renewDeadlineMs - now);
}
