// Reconciles one scale set or virtual machine: the identities that Azure has attached to it with those that its pods need.
//
//   ownership   what we attached before, and an operation that a former leader began
//   observe     GET the scope, unless the last GET still counts and nothing is to be done
//   plan        what to attach and detach; what of it the quarantine lets through
//   record      the intent, so that whoever takes over in the middle of the write finds it
//   apply       one PATCH, or as many as its size needs
//   settle      GET again: what of it is ours now
//   status      on the AzureAssignedIdentities, with Events
import type { ScopeStatus } from '../../api/installation-status.ts';
import { scopeOfId } from '../../lib/azure/resource-ids.ts';
import type { Reconcile, ReconcileResult } from '../../lib/controller/reconcile.ts';
import type { Need } from '../../lib/identities/need.ts';
import type { ScopeSnapshot } from '../azure/arm/compute.ts';
import { ArmError } from '../azure/arm/errors.ts';
import { entriesOf } from './attribution.ts';
import type { ScopeContext, ScopeEntry, ScopeOptions } from './context.ts';
import {
  adoptUpstream,
  createdNeeds,
  isOperationInProgress,
  readScope,
  requeue,
  writeKnownFailures,
  writeObservedStatus,
} from './context.ts';
import { describeScope } from './describe.ts';
import { expired } from './detach-delay.ts';
import { recordAttaching } from './events.ts';
import { fail } from './fail.ts';
import { forgetIdle } from './idle.ts';
import { isFresh } from './observed-state.ts';
import type { OwnershipRecord } from './ownership.ts';
import { withChanges } from './ownership.ts';
import { fullPace } from './pace.ts';
import { pendingWork } from './pending-work.ts';
import { idsOfNeeds, ownershipBefore, planScope } from './plan.ts';
import { countHeld, writeOf } from './quarantine.ts';
import type { SelectedWrite } from './state.ts';
import { callsBlocked, forgetUnneeded, initialState, needsKnown, select, settled } from './state.ts';
import { isWaiting, writeAttachedStatus } from './status.ts';
import { statusWhileBlocked, statusWhilePaused } from './without-writes.ts';
import { awaitFormerOperation, interruptedMs, refreshSoon, writeScope } from './write.ts';

export interface ScopeReconciler {
  /** Key: the lower-case ARM id of the scope. Never throws. */
  reconcile: Reconcile;
  /** While a write is under way: the status of pods that it does not concern. Azure may take minutes for it. */
  reconcileStatus: Reconcile;
  isWriting(scopeId: string): boolean;
  /** The next GET comes early, whatever the last one showed. */
  refresh(scopeId: string): void;
  count(): ScopeCounts;
  describe(): ScopeStatus[];
}

export interface ScopeCounts {
  /** Scopes whose writes a person paused. */
  paused: number;
  /** Identities that are kept out of the writes to a scope, each counted for each scope. */
  quarantined: number;
}

export function createScopeReconciler(options: ScopeOptions): ScopeReconciler {
  const entries = new Map<string, ScopeEntry>();

  function entryOf(scopeId: string): ScopeEntry | undefined {
    const known = entries.get(scopeId);
    if (known !== undefined) return known;
    const scope = options.scopeOf(scopeId) ?? scopeOfId(scopeId);
    if (scope === undefined) return undefined;
    const entry = { scope, state: { ...initialState, pace: fullPace(options.pace) } };
    entries.set(scopeId, entry);
    return entry;
  }

  const contextOf = (entry: ScopeEntry, signal: AbortSignal): ScopeContext => ({
    ...options,
    scope: entry.scope,
    entry,
    signal,
    azureCalled: false,
    isImdsRestricted: () => entry.state.observed.imdsRestricted,
  });

  return {
    async reconcile(scopeId, { signal }) {
      const entry = entryOf(scopeId);
      if (entry === undefined) return { done: true };
      const context = contextOf(entry, signal);
      const startedAt = options.clock.now();
      const result = await reconcileOrFail(context);
      if (context.azureCalled && !signal.aborted) options.onAzureCalled(options.clock.now() - startedAt);
      if (result.done === true) entries.delete(scopeId);
      return result;
    },

    async reconcileStatus(scopeId, { signal }) {
      const entry = entries.get(scopeId);
      const writing = entry?.state.writing;
      if (entry === undefined || writing === undefined) return {};
      const context = contextOf(entry, signal);
      await writeObservedStatus(
        context,
        createdNeeds(context).filter((need) => !writing.has(need.identityId)),
      );
      return {};
    },

    isWriting: (scopeId) => entries.get(scopeId)?.state.writing !== undefined,

    refresh(scopeId) {
      const entry = entries.get(scopeId);
      if (entry !== undefined) refreshSoon({ entry });
    },

    describe: () => [...entries.values()].map((entry) => describeScope(entry, options.clock.wall())),

    count() {
      const now = options.clock.wall();
      const states = [...entries.values()].map(({ state }) => state);
      return {
        paused: states.filter(({ paused }) => paused).length,
        quarantined: states.reduce((sum, { quarantine }) => sum + countHeld(quarantine, now), 0),
      };
    },
  };
}

async function reconcileOrFail(context: ScopeContext): Promise<ReconcileResult> {
  const { entry, scope, signal, clock } = context;
  const now = clock.wall();
  try {
    const blockedMs = entry.state.backoff.callsBlockedUntil - now;
    return blockedMs > 0 ? await statusWhileBlocked(context, blockedMs, now) : await reconcileScope(context, now);
  } catch (error) {
    if (signal.aborted) return {};
    const needs = context.needsOf(scope.id);
    if (error instanceof ArmError && error.failure.code === 'notFound' && needs.length === 0) return forgetIdle(context, now);
    const retryMs = await fail(context, error, new Set(needs.map((need) => need.identityId)));
    entry.state = callsBlocked(entry.state, clock.wall() + retryMs);
    return { requeueAfterMs: retryMs };
  }
}

async function reconcileScope(context: ScopeContext, now: number): Promise<ReconcileResult> {
  const { entry, scope, intervalMs } = context;

  // Ownership.
  let stored = await awaitFormerOperation(context, await context.store.load(scope.id));
  const needs = context.needsOf(scope.id);
  if (needs.length === 0 && stored.record.identities.size === 0) return forgetIdle(context, now);
  entry.state = needsKnown(entry.state, { needs, record: stored.record, now });
  if (stored.record.paused) return statusWhilePaused(context, stored, needs, now);

  // Observe, unless the last GET still counts and nothing could be done.
  const due = expired(entry.state.unused, context.detachDelayMs, now);
  const work = pendingWork({
    ...context,
    state: entry.state,
    record: stored.record,
    needs,
    expired: due,
    isWaiting: (need) => isWaiting(context.assignmentOf(need), need),
    now,
  });
  if (!work.pending) {
    if (isFresh(entry.state.observed, intervalMs, now)) await writeObservedStatus(context);
    await writeKnownFailures(context);
    return requeue(context, work.nextAt, now);
  }
  const snapshot = await readScope(context);
  stored = await adoptUpstream(context, stored, needs, snapshot.identities);

  // Plan.
  const { plan, selected, nextAt } = planAndSelect(context, { record: stored.record, snapshot, due, now });
  if (selected !== undefined && !context.mayWrite()) return { requeueAfterMs: interruptedMs };

  // Record the intent.
  const changes = ownershipBefore(plan, writeOf(selected?.entries ?? []));
  if (changes.length > 0) stored = await context.store.save(stored, withChanges(stored.record, changes, new Date(context.clock.wall())));

  // Apply, settle, status.
  if (selected !== undefined) {
    recordBegun(context, needs, selected);
    return writeScope(context, { selected, stored, before: snapshot, nextAt });
  }
  await writeAttachedStatus(context, context.needsOf(scope.id), snapshot.identities);
  await writeKnownFailures(context);
  entry.state = settled(entry.state);
  return requeue(context, nextAt, now);
}

/** What should be attached, and the part of it that may be written now. Pods came and went while Azure was asked, so needs are read again. */
function planAndSelect(
  context: ScopeContext,
  { record, snapshot, due, now }: { record: OwnershipRecord; snapshot: ScopeSnapshot; due: ReadonlySet<string>; now: number },
) {
  const { entry, scope, isProtected } = context;
  const needs = context.needsOf(scope.id);
  const ids = idsOfNeeds(needs);
  const attached = snapshot.identities;
  const operationInProgress = isOperationInProgress(snapshot);
  const plan = planScope({ ...ids, record, attached, operationInProgress, expired: due, gone: entry.state.gone, isProtected });
  // The record keeps what an operation may still leave attached, so its end must not be found only after a whole interval.
  if (operationInProgress && [...record.identities.keys()].some((id) => !ids.needed.has(id) && !attached.has(id))) refreshSoon(context);
  const wanted = entriesOf(plan, needs, entry.state.quarantine, now);
  entry.state = forgetUnneeded(entry.state, wanted, now);
  return { plan, ...select(entry.state, wanted, now) };
}

function recordBegun(context: ScopeContext, needs: readonly Need[], { entries }: SelectedWrite): void {
  const begun = new Set(entries.map(({ id }) => id));
  recordAttaching(
    context,
    needs.filter((need) => begun.has(need.identityId) && isWaiting(context.assignmentOf(need), need)),
  );
}
