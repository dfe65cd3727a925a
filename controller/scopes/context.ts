// What every step of one reconciliation of a scope works on, and the steps that several of them share.
import type { Clock } from '../../common/clock.ts';
import type { Scope } from '../../lib/azure/resource-ids.ts';
import type { ReconcileResult } from '../../lib/controller/reconcile.ts';
import type { Need } from '../../lib/identities/need.ts';
import type { Logger } from '../../lib/log.ts';
import type { Compute, ScopeSnapshot } from '../azure/arm/compute.ts';
import { isRunning } from '../azure/arm/operation.ts';
import { hasReason } from '../need-status.ts';
import { nextExpiryMs } from './detach-delay.ts';
import { failureOf } from './failure-status.ts';
import type { Attached } from './observed-state.ts';
import { nextReadAt } from './observed-state.ts';
import { withChanges } from './ownership.ts';
import type { OwnershipStore, StoredRecord } from './ownership-store.ts';
import { changeRecord } from './ownership-store.ts';
import type { PaceLimits } from './pace.ts';
import type { ScopeState } from './state.ts';
import { failuresExpired, identitiesUnknown, observed } from './state.ts';
import type { StatusContext } from './status.ts';
import { attachedByUpstream, isOtherSide, writeAttachedStatus, writeFailedStatus } from './status.ts';

export interface ScopeOptions extends Omit<StatusContext, 'scope' | 'isImdsRestricted'> {
  needsOf(scopeId: string): Need[];
  scopeOf(scopeId: string): Scope | undefined;
  compute: Compute;
  store: OwnershipStore;
  log: Logger;
  clock: Clock;
  /** From 0 to 1. */
  random(): number;
  /** False once leadership is about to end: then nothing is written to Azure. */
  mayWrite(): boolean;
  isProtected(id: string, clientId: string | undefined): boolean;
  /** How long an unused identity stays attached. */
  detachDelayMs: number;
  /** Makes ours what aad-pod-identity attached for objects that we took over. Otherwise it is foreign and stays for ever. */
  adoptAttached: boolean;
  /** Of the writes to one scope. */
  pace: PaceLimits;
  /** Longest time between two GETs of a scope that is in use. */
  intervalMs: number;
  /** A write is under way: other pods of the scope get their status by {@link ScopeReconciler.reconcileStatus}. */
  enqueueStatus(scopeId: string): void;
  /** A reconciliation that called Azure ended after so many milliseconds. */
  onAzureCalled(durationMs: number): void;
}

/** What is remembered of a scope. `state` changes by the transitions of state.ts only. */
export interface ScopeEntry {
  readonly scope: Scope;
  state: ScopeState;
}

/** One reconciliation. */
export interface ScopeContext extends ScopeOptions, Pick<StatusContext, 'isImdsRestricted'> {
  readonly scope: Scope;
  readonly entry: ScopeEntry;
  readonly signal: AbortSignal;
  azureCalled: boolean;
}

/** An operation is under way, whoever began it. */
export const isOperationInProgress = ({ provisioningState }: ScopeSnapshot): boolean =>
  provisioningState !== '' && isRunning(provisioningState);

/** GETs the scope. Throws as {@link Compute} does. */
export async function readScope(context: ScopeContext): Promise<ScopeSnapshot> {
  const { entry, scope, signal, clock, intervalMs } = context;
  const requestedBefore = entry.state.observed.refreshes.requested;
  context.azureCalled = true;
  const snapshot = await context.compute.read(scope, signal);
  const { identities: attached, imdsRestricted } = snapshot;
  const read = { attached, imdsRestricted, requestedBefore, now: clock.wall(), intervalMs, spread: context.random() };
  entry.state = observed(entry.state, read);
  return snapshot;
}

export function forgetObserved({ entry }: ScopeContext, ids: Iterable<string>): void {
  entry.state = identitiesUnknown(entry.state, ids);
}

/** Runs before objects get our annotations: after that nothing says any more that aad-pod-identity attached their identities. */
export async function adoptUpstream(
  context: ScopeContext,
  stored: StoredRecord,
  needs: readonly Need[],
  attached: Attached,
): Promise<StoredRecord> {
  if (!context.adoptAttached) return stored;
  const adopted = attachedByUpstream(context, needs, attached).filter((id) => !stored.record.identities.has(id));
  if (adopted.length === 0) return stored;
  const now = new Date(context.clock.wall());
  return changeRecord(context.store, stored, (record) =>
    withChanges(
      record,
      adopted.map((id) => [id, 'owned']),
      now,
    ),
  );
}

/** Needs whose object is Created, or still federated. Those that aad-pod-identity assigned are adopted first. */
export const createdNeeds = (context: ScopeContext): Need[] =>
  context.needsOf(context.scope.id).filter((need) => {
    const current = context.assignmentOf(need);
    return current?.status === 'Created' || isOtherSide(current, need);
  });

/** Waiting needs whose identity is not attached. */
export const missingNeeds = (context: ScopeContext): Need[] =>
  createdNeeds(context).filter((need) => !context.entry.state.observed.attached?.has(need.identityId));

/** Status of pods that came after the last GET. */
export const writeObservedStatus = (context: ScopeContext, needs = createdNeeds(context)): Promise<void> =>
  writeAttachedStatus(context, needs, context.entry.state.observed.attached ?? new Map());

/** Why nothing is tried, for pods that came since it failed. */
export async function writeKnownFailures(context: ScopeContext): Promise<void> {
  const { entry, clock } = context;
  entry.state = failuresExpired(entry.state, clock.wall());
  const silent = missingNeeds(context).filter((need) => !hasReason(context.assignmentOf(need)));
  await writeFailedStatus(context, silent, (id) => failureOf(entry.state.failures, id));
}

/** When something becomes due without a change. `nextWriteAt`: when something that is held back may be written; infinite: nothing is. */
export function requeue({ entry: { state }, intervalMs, detachDelayMs }: ScopeContext, nextWriteAt: number, now: number): ReconcileResult {
  const readMs = (nextReadAt(state.observed, intervalMs) ?? now + intervalMs) - now;
  // Overdue only where nothing is needed or recorded, and so nothing has to be read.
  const due = [readMs > 0 ? readMs : intervalMs, nextExpiryMs(state.unused, detachDelayMs, now), nextWriteAt - now];
  return { requeueAfterMs: Math.max(50, Math.min(intervalMs * 1.1, ...due)) };
}
