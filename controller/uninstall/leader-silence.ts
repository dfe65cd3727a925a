// Whether a controller leads that can be waited for: one that does renews its Lease. Pure.

export interface LeaseObservation {
  /** Undefined: there is no Lease. */
  readonly resourceVersion: string | undefined;
  readonly durationMs: number;
  /** Milliseconds of Clock.now() since which the Lease is as it is. */
  readonly since: number;
}

/** A candidate takes a free Lease within this time. */
const minSilenceMs = 10_000;

export function observeLease(before: LeaseObservation | undefined, found: Omit<LeaseObservation, 'since'>, now: number): LeaseObservation {
  const isSame = before !== undefined && before.resourceVersion === found.resourceVersion;
  return { ...found, since: isSame ? before.since : now };
}

/** A failed leader is replaced after one duration, so three without a change mean that nobody is there. */
export const isSilent = ({ since, durationMs }: LeaseObservation, now: number): boolean =>
  now - since > Math.max(minSilenceMs, 3 * durationMs);
