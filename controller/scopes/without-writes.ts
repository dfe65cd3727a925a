// A scope that must not be called, or not be written: pods still use what is attached.
import type { ReconcileResult } from '../../lib/controller/reconcile.ts';
import type { Need } from '../../lib/identities/need.ts';
import type { ScopeContext } from './context.ts';
import { adoptUpstream, missingNeeds, readScope, requeue, writeKnownFailures, writeObservedStatus } from './context.ts';
import { isReadDue, isUsable } from './observed-state.ts';
import { recordName } from './ownership.ts';
import type { StoredRecord } from './ownership-store.ts';
import { writeFailedStatus } from './status.ts';

/** The API server is tried again after this time, however long Azure must not be called. */
const retryStatusMs = 5_000;

/** Records are not watched, so a person's removal of `paused` is found by polling. */
const pausedMs = 5_000;

/** Azure must not be called for `blockedMs`; what it showed before can still be used. */
export async function statusWhileBlocked(context: ScopeContext, blockedMs: number, now: number): Promise<ReconcileResult> {
  try {
    if (isUsable(context.entry.state.observed, context.intervalMs, now)) await writeObservedStatus(context);
    await writeKnownFailures(context);
    return { requeueAfterMs: blockedMs };
  } catch (error) {
    // It is the API server that fails now: Azure stays blocked no shorter for it.
    context.log.warn({ scope: context.scope.displayId, error: String(error) }, 'status not written');
    return { requeueAfterMs: Math.min(blockedMs, retryStatusMs) };
  }
}

/** A person paused the scope: pods may use what is attached, and nothing is written to Azure. */
export async function statusWhilePaused(
  context: ScopeContext,
  stored: StoredRecord,
  needs: readonly Need[],
  now: number,
): Promise<ReconcileResult> {
  const { entry, scope, intervalMs } = context;
  if (isReadDue(entry.state.observed, intervalMs, now)) {
    const { identities } = await readScope(context);
    await adoptUpstream(context, stored, needs, identities);
  }
  await writeObservedStatus(context);
  const message = `writes to ${scope.displayId} are paused: remove data.paused of ConfigMap ${recordName(scope.id)} to go on`;
  await writeFailedStatus(context, missingNeeds(context), () => ({ reason: 'ScopePaused', message }));
  return { requeueAfterMs: Math.min(requeue(context, Number.POSITIVE_INFINITY, now).requeueAfterMs ?? pausedMs, pausedMs) };
}
