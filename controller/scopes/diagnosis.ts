// What a failed call to Azure means for the scope: which identities are to blame, what the user reads, when to try again. Pure.
import type { AssignmentReason } from '../../lib/identities/reasons.ts';
import type { ArmFailure } from '../azure/arm/errors.ts';
import { ArmError } from '../azure/arm/errors.ts';
import type { RefusalCode, Retry } from '../azure/arm/refusals.ts';
import { isAboutIdentities, refusalOf } from '../azure/arm/refusals.ts';

export interface Diagnosis {
  code: RefusalCode;
  reason: AssignmentReason;
  /** For the object and the Event: what failed and, where a person must act, what to do. */
  message: string;
  /** Identities (lower-case ids) that made Azure refuse the whole write; the others go on without them. */
  culprits: ReadonlySet<string>;
  /** Undefined: the delay grows with the number of failures. */
  retryMs: number | undefined;
}

/** True where an identity of the write may be to blame, named or not: then a search for it is worthwhile. */
export const mayBlameIdentities = (error: unknown): boolean => error instanceof ArmError && isAboutIdentities(error.failure.code);

/** `attempted`: the ids of the write, all of them. `random`, from 0 to 1, spreads the retries of peers. */
export function diagnose(error: unknown, attempted: readonly string[], random: () => number): Diagnosis {
  const failure: ArmFailure = error instanceof ArmError ? error.failure : { code: 'unknown' };
  const { code } = failure;
  const { reason, retry, advice } = refusalOf(code);
  const original = error instanceof Error ? error.message : String(error);
  const message = advice === undefined ? original : `${withNames(advice, failure)}: ${original}`;
  const culprits = culpritsOf(failure, attempted);
  // A failure that names nobody is final for nobody but an identity that was alone in its write.
  if (isAboutIdentities(code) && culprits.size === 0)
    return { code, reason: 'AzureError', message: unnamedMessage, culprits, retryMs: undefined };
  return { code, reason, message, culprits, retryMs: retryMsOf(retry, failure, random) };
}

function culpritsOf(failure: ArmFailure, attempted: readonly string[]): ReadonlySet<string> {
  const ids = 'ids' in failure && isAboutIdentities(failure.code) ? failure.ids : undefined;
  if (ids === undefined) return new Set();
  const named = ids.filter((id) => attempted.includes(id));
  return new Set(named.length === 0 && attempted.length === 1 ? attempted : named);
}

function retryMsOf(retry: Retry, failure: ArmFailure, random: () => number): number | undefined {
  const askedMs = 'retryAfterSeconds' in failure && failure.retryAfterSeconds !== undefined ? failure.retryAfterSeconds * 1000 : undefined;
  switch (retry) {
    case 'when Azure says':
      return askedMs === undefined ? undefined : askedMs * (1 + random() / 5);
    case 'at once':
      return 100;
    case '5 to 30 s':
      return 5_000 + random() * 25_000;
    case '1 min':
      return minutes(1);
    case '10 min':
      return minutes(10);
    case '0.5 s to 1 min':
      return askedMs;
    case 'quarantine':
      return undefined;
  }
}

const withNames = (advice: string, failure: ArmFailure): string =>
  failure.code === 'linkedRoleMissing'
    ? advice.replace('<action>', failure.action ?? 'that Azure names').replace('<scope>', failure.scope ?? 'what Azure names')
    : advice;

// Without Azure's text: it may hold a part of an id, such as a resource group, of any namespace in the write. The log has it.
const unnamedMessage = 'Azure refused a write of several identities and named none of them, so parts of it are tried one by one';

const minutes = (count: number): number => count * 60_000;
