// What a failure means for the scope's back-off and for the objects that wait.
import { isForbidden, isInvalid } from '../../lib/kube/errors.ts';
import { ArmError } from '../azure/arm/errors.ts';
import { retryDelayMs } from './backoff.ts';
import type { ScopeContext } from './context.ts';
import type { Diagnosis } from './diagnosis.ts';
import { diagnose, mayBlameIdentities } from './diagnosis.ts';
import { failIdentity, failScope } from './failure-status.ts';
import { OwnershipRecordError } from './ownership.ts';
import { heldEntryOf } from './quarantine.ts';
import { failed, failuresKnown } from './state.ts';
import { writeFailedStatus } from './status.ts';

/**
 * Writes the failure on the objects that wait for these identities (lower-case ids); returns the milliseconds until the next try. `attempted`: all ids
 * of the write that failed; undefined: it was not a write.
 */
export async function fail(
  context: ScopeContext,
  error: unknown,
  waitingFor: ReadonlySet<string>,
  attempted: readonly string[] = [...waitingFor],
): Promise<number> {
  const { entry, scope, log } = context;
  const diagnosis = diagnose(error, attempted, context.random);
  // Identities have a back-off of their own. Whoever brings bad ones must not prolong that of the scope.
  if (!mayBlameIdentities(error)) entry.state = failed(entry.state);
  const retryMs = retryDelayMs(error, diagnosis, entry.state.backoff.failures, context.random);
  const { code, message, culprits } = diagnosis;
  const original = error instanceof Error ? error.message : String(error);
  log.warn(
    {
      scope: scope.displayId,
      code,
      // A status of several identities leaves Azure's text out; the log has it.
      error: message.includes(original) ? message : `${message}: ${original}`,
      culprits: [...culprits],
      retryMs: Math.round(retryMs),
    },
    'scope not written',
  );
  if (!isForUsers(error)) return retryMs;

  const affected = affectedBy(context, error, diagnosis, waitingFor);
  const nextTry = context.clock.wall() + retryMs;
  const untilOf = (id: string) => Math.max(nextTry, heldEntryOf(entry.state.quarantine, id)?.until ?? 0);
  rememberFailure(context, { diagnosis, affected, untilOf, ofScope: mayBlameIdentities(error) ? undefined : nextTry });
  try {
    const { reason } = diagnosis;
    const failureOf = (id: string) => (affected.has(id) ? { reason, message, until: untilOf(id) } : undefined);
    await writeFailedStatus(context, context.needsOf(scope.id), failureOf, entry.state.observed.attached);
  } catch (unwritten) {
    log.warn({ scope: scope.displayId, error: String(unwritten) }, 'failure not written on the objects');
  }
  return retryMs;
}

/** An API server that fails is not Azure's failure, and the status could not be written. What it refuses, a person has to know. */
const isForUsers = (error: unknown): boolean =>
  error instanceof ArmError || error instanceof OwnershipRecordError || isForbidden(error) || isInvalid(error);

/** A quarantined identity has a cause of its own, which a scope that is blocked for a moment must not hide. */
function affectedBy(
  { entry }: ScopeContext,
  error: unknown,
  { culprits }: Diagnosis,
  waitingFor: ReadonlySet<string>,
): ReadonlySet<string> {
  if (culprits.size > 0) return culprits;
  return new Set([...waitingFor].filter((id) => mayBlameIdentities(error) || heldEntryOf(entry.state.quarantine, id) === undefined));
}

/** For pods that come before the next try. `ofScope`: the failure holds for every identity until that time. */
function rememberFailure(
  { entry }: ScopeContext,
  failure: { diagnosis: Diagnosis; affected: ReadonlySet<string>; untilOf(id: string): number; ofScope: number | undefined },
): void {
  const { reason, message } = failure.diagnosis;
  let { failures } = entry.state;
  for (const id of failure.affected) failures = failIdentity(failures, id, { reason, message, until: failure.untilOf(id) });
  if (failure.ofScope !== undefined) failures = failScope(failures, { reason, message, until: failure.ofScope });
  entry.state = failuresKnown(entry.state, failures);
}
