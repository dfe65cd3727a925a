// Why identities of a scope are not attached. Kept for pods that arrive while nothing is tried: without it they would wait without a status. Pure.
import type { AssignmentReason } from '../../lib/identities/reasons.ts';

export interface FailureStatus {
  readonly reason: AssignmentReason;
  readonly message: string;
  /** When the next try is due; milliseconds since the epoch. */
  readonly until: number;
}

export interface Failures {
  /** Applies to every identity that is not attached. */
  readonly ofScope: FailureStatus | undefined;
  /** By lower-case ARM id; wins over that of the scope. */
  readonly ofIdentity: ReadonlyMap<string, FailureStatus>;
}

export const noFailures: Failures = { ofScope: undefined, ofIdentity: new Map() };

export const failScope = (failures: Failures, status: FailureStatus): Failures => ({ ...failures, ofScope: status });

export const failIdentity = (failures: Failures, id: string, status: FailureStatus): Failures => ({
  ...failures,
  ofIdentity: new Map(failures.ofIdentity).set(id, status),
});

export function forgetIdentity(failures: Failures, id: string): Failures {
  const ofIdentity = new Map(failures.ofIdentity);
  ofIdentity.delete(id);
  return { ...failures, ofIdentity };
}

/** Without failures whose next try is due by now. */
export const unexpired = ({ ofScope, ofIdentity }: Failures, now: number): Failures => ({
  ofScope: ofScope !== undefined && ofScope.until > now ? ofScope : undefined,
  ofIdentity: new Map([...ofIdentity].filter(([, { until }]) => until > now)),
});

export const failureOf = (failures: Failures, id: string): FailureStatus | undefined => failures.ofIdentity.get(id) ?? failures.ofScope;
