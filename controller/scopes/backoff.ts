// When Azure may be called again for one scope after a failure. Pure. Single identities are held back by quarantine.ts.
import type { Diagnosis } from './diagnosis.ts';
import { mayBlameIdentities } from './diagnosis.ts';

/** All times are milliseconds since the epoch. */
export interface Backoff {
  /** No call at all before this time. What is attached already can be used meanwhile. */
  readonly callsBlockedUntil: number;
  /** No write before this time; reads are allowed. */
  readonly writesBlockedUntil: number;
  /** Failures in a row. */
  readonly failures: number;
}

export const noBackoff: Backoff = { callsBlockedUntil: 0, writesBlockedUntil: 0, failures: 0 };

export const blockCalls = (backoff: Backoff, until: number): Backoff => ({ ...backoff, callsBlockedUntil: until });
export const blockWrites = (backoff: Backoff, until: number): Backoff => ({ ...backoff, writesBlockedUntil: until });
export const countFailure = (backoff: Backoff): Backoff => ({ ...backoff, failures: backoff.failures + 1 });
export const resetFailures = (backoff: Backoff): Backoff => ({ ...backoff, failures: 0 });

export const areWritesBlocked = (backoff: Backoff, now: number): boolean => now < backoff.writesBlockedUntil;

const jitterMs = (random: () => number): number => 5_000 + random() * 25_000;

/** Milliseconds until the next try after `failures` failures in a row. `random`, from 0 to 1, spreads the retries of peers. */
export function retryDelayMs(error: unknown, diagnosis: Diagnosis, failures: number, random: () => number): number {
  // The next write leaves the suspects out, so it need not wait.
  if (mayBlameIdentities(error)) return 100;
  // A writer that wins again and again does not finish earlier when we hurry.
  if (diagnosis.code === 'preconditionFailed' && failures > 2) return jitterMs(random);
  return diagnosis.retryMs ?? Math.min(60_000, 500 * 2 ** Math.min(failures, 8)) * (0.5 + random() / 2);
}
