// Applies a selected write, finds out how it ended, and waits for operations of a former leader.
import type { ReconcileResult } from '../../lib/controller/reconcile.ts';
import type { Need } from '../../lib/identities/need.ts';
import type { ScopeSnapshot } from '../azure/arm/compute.ts';
import { ArmError } from '../azure/arm/errors.ts';
import type { Write } from '../azure/arm/identity-map.ts';
import { splitIntoPatches } from '../azure/arm/identity-map.ts';
import type { ApplyResult } from './apply.ts';
import { applyWrites } from './apply.ts';
import type { ScopeContext } from './context.ts';
import { forgetObserved, isOperationInProgress, readScope, requeue } from './context.ts';
import { diagnose, mayBlameIdentities } from './diagnosis.ts';
import { recordQuarantined } from './events.ts';
import { fail } from './fail.ts';
import type { OwnershipRecord } from './ownership.ts';
import { withChanges } from './ownership.ts';
import type { StoredRecord } from './ownership-store.ts';
import { changeRecord } from './ownership-store.ts';
import { ownershipAfter } from './plan.ts';
import { heldEntryOf, writeOf } from './quarantine.ts';
import type { SelectedWrite } from './state.ts';
import {
  allUnknown,
  attachedIdentitiesGone,
  identitiesBlamed,
  refreshRequested,
  writeBegun,
  writeEnded,
  writeSucceeded,
  writesBlocked,
  writesSent,
} from './state.ts';
import { writeAttachedStatus, writeFailedStatus } from './status.ts';

/** The end of leadership is no failure of Azure: the next leader goes on, or this one once it has renewed its Lease. */
export const interruptedMs = 500;

const detachGoneMs = 100;

export interface PlannedWrite {
  selected: SelectedWrite;
  /** With the intent recorded. */
  stored: StoredRecord;
  /** The GET that the plan was made from. */
  before: ScopeSnapshot;
  /** When what is held back now may be written. */
  nextAt: number;
}

/** Apply, settle the ownership record by a GET, write status. */
export async function writeScope(context: ScopeContext, planned: PlannedWrite): Promise<ReconcileResult> {
  const { selected, before } = planned;
  const write = writeOf(selected.entries);
  const ids = [...write.attach, ...write.detach];
  const { result, stored } = await apply(context, write, planned);
  if (context.signal.aborted) return {};

  // Whatever the write answered, only a GET shows what is attached now.
  forgetObserved(context, ids);
  const snapshot = await readScope(context).catch(async (error: unknown) => {
    // What Azure refused is not ours, whatever the next GET shows.
    const refused = write.attach.filter((id) => result.outcomeOf(id) === 'refused' && !before.identities.has(id));
    await dropOwnership(context, stored, refused);
    throw error;
  });
  const operationInProgress = isOperationInProgress(snapshot);
  if (operationInProgress) refreshSoon(context);
  const end = { write, before: before.identities, after: snapshot.identities, operationInProgress, outcomeOf: result.outcomeOf };
  await changeOwnership(context, stored, (record) => ({
    ...withChanges(record, ownershipAfter(record, end), new Date(context.clock.wall())),
    operation: undefined,
  }));
  await writeAttachedStatus(context, context.needsOf(context.scope.id), snapshot.identities);

  if (result.failure !== undefined && detachesGone(context, result.failure.error, stored)) return { requeueAfterMs: detachGoneMs };
  if (result.failure !== undefined) return afterFailure(context, selected, result.failure.error, snapshot);
  if (result.interrupted) return { requeueAfterMs: interruptedMs };
  context.log.info({ scope: context.scope.displayId, attach: write.attach, detach: write.detach }, 'scope written');
  return afterSuccess(context, planned, snapshot);
}

/** Waits for an operation that a former leader began, so that our write does not run into it. How it ended, the next GET shows. */
export async function awaitFormerOperation(context: ScopeContext, stored: StoredRecord): Promise<StoredRecord> {
  const { operation, identities } = stored.record;
  if (operation === undefined) return stored;
  const touched = [...identities].filter(([, { state }]) => state !== 'owned').map(([id]) => id);
  try {
    // It may take minutes. Pods whose identities it does not concern get their status meanwhile.
    await readScope(context).catch(() => undefined);
    const { signal } = context;
    const onThrottled = (waitMs: number) => writeThrottledPoll(context, touched, waitMs);
    await whileWriting(context, touched, () => context.compute.resume(context.scope, operation, { signal, onThrottled }));
  } catch (error) {
    if (context.signal.aborted) throw error;
    context.log.info({ scope: context.scope.displayId, error: String(error) }, 'operation of a former leader did not succeed');
  }
  context.entry.state = allUnknown(context.entry.state);
  return changeOwnership(context, stored, (record) => ({ ...record, operation: undefined }));
}

export function refreshSoon({ entry }: Pick<ScopeContext, 'entry'>): void {
  entry.state = refreshRequested(entry.state);
}

async function apply(
  context: ScopeContext,
  write: Write,
  { stored: recorded, before }: PlannedWrite,
): Promise<{ result: ApplyResult; stored: StoredRecord }> {
  let stored = recorded;
  const writes = splitIntoPatches(before, { add: write.attach, remove: write.detach, owned: new Set(stored.record.identities.keys()) });
  context.azureCalled = true;
  context.entry.state = writesSent(context.entry.state, writes.length, context.clock.wall());
  const result = await whileWriting(context, [...write.attach, ...write.detach], () =>
    applyWrites(writes, before, {
      ...context,
      read: () => readScope(context),
      onThrottled: (waitMs) => writeThrottledPoll(context, write.attach, waitMs),
      async onOperation(operation) {
        try {
          stored = await changeOwnership(context, stored, (record) => ({ ...record, operation }));
        } catch (error) {
          // Azure works on it all the same, and the intent is recorded.
          context.log.warn({ scope: context.scope.displayId, error: String(error) }, 'operation not recorded');
        }
      },
    }),
  );
  return { result, stored };
}

/** Tells the objects that wait for these ids why they learn nothing of their operation. Never throws: it goes on without that. */
async function writeThrottledPoll(context: ScopeContext, ids: readonly string[], waitMs: number): Promise<void> {
  const { entry, scope, log, clock } = context;
  const message = `Azure works on the write to ${scope.displayId} and refuses questions about it for a while (429), so the identity may be attached already`;
  const status = { reason: 'Throttled' as const, message, until: clock.wall() + waitMs, isUnderWay: true };
  try {
    const needs = context.needsOf(scope.id).filter(({ identityId }) => !entry.state.observed.attached?.has(identityId));
    await writeFailedStatus(context, needs, (id) => (ids.includes(id) ? status : undefined));
  } catch (error) {
    log.warn({ scope: scope.displayId, error: String(error) }, 'status not written');
  }
}

async function whileWriting<T>(context: ScopeContext, ids: Iterable<string>, work: () => Promise<T>): Promise<T> {
  const { entry, scope } = context;
  entry.state = writeBegun(entry.state, ids);
  context.enqueueStatus(scope.id);
  try {
    return await work();
  } finally {
    entry.state = writeEnded(entry.state);
  }
}

function afterSuccess(context: ScopeContext, { selected, nextAt }: PlannedWrite, { identities }: ScopeSnapshot): ReconcileResult {
  const { entry } = context;
  const now = context.clock.wall();
  entry.state = writeSucceeded(entry.state, selected, now);
  // Azure accepted them and still reports no client id: a recreated identity is not tried again at the next change of any pod.
  const dead = selected.entries.filter(({ direction, id }) => direction === 'attach' && identities.get(id) === null);
  if (dead.length > 0) blame(context, { entries: dead, trial: false }, new Set(dead.map(({ id }) => id)));
  // The success of a trial frees its namespace, so the next selection may hold more than this one knew.
  return selected.trial ? { requeueAfterMs: 100 } : requeue(context, nextAt, now);
}

/**
 * An identity that we attached was deleted in Azure, which refuses every write until it is detached. The next write does that, so that the namespace
 * that deleted it holds up no other. False: none of them is ours, or that was tried already.
 */
function detachesGone(context: ScopeContext, error: unknown, { record }: StoredRecord): boolean {
  if (!(error instanceof ArmError && error.failure.code === 'attachedIdentityGone')) return false;
  const { entry, scope, log } = context;
  const ours = error.failure.ids.filter((id) => record.identities.has(id) && !entry.state.gone.has(id));
  if (ours.length === 0) return false;
  entry.state = attachedIdentitiesGone(entry.state, ours);
  log.warn({ scope: scope.displayId, identities: ours }, 'identities that were deleted in Azure are detached');
  return true;
}

async function afterFailure(
  context: ScopeContext,
  selected: SelectedWrite,
  error: unknown,
  { identities }: ScopeSnapshot,
): Promise<ReconcileResult> {
  const { entry } = context;
  const { attach, detach } = writeOf(selected.entries);
  if (mayBlameIdentities(error)) {
    const { culprits, message } = diagnose(error, [...attach, ...detach], context.random);
    blame(context, selected, culprits);
    const heldNow = (id: string) => (attach.includes(id) ? heldEntryOf(entry.state.quarantine, id) : undefined);
    recordQuarantined(context, context.needsOf(context.scope.id), heldNow, message);
  }
  const retryMs = await fail(context, error, new Set(attach.filter((id) => !identities.has(id))), [...attach, ...detach]);
  entry.state = writesBlocked(entry.state, context.clock.wall() + retryMs);
  return { requeueAfterMs: retryMs };
}

function blame(context: ScopeContext, selected: SelectedWrite, culprits: ReadonlySet<string>): void {
  const needs: readonly Need[] = context.needsOf(context.scope.id);
  context.entry.state = identitiesBlamed(context.entry.state, { selected, culprits, needs, now: context.clock.wall() });
}

const changeOwnership = (
  { store }: ScopeContext,
  stored: StoredRecord,
  change: (record: OwnershipRecord) => OwnershipRecord,
): Promise<StoredRecord> => changeRecord(store, stored, change);

async function dropOwnership(context: ScopeContext, stored: StoredRecord, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return;
  const now = new Date(context.clock.wall());
  const dropped = ids.map((id): [string, undefined] => [id, undefined]);
  try {
    await changeOwnership(context, stored, (record) => withChanges(record, dropped, now));
  } catch (error) {
    context.log.warn({ scope: context.scope.displayId, error: String(error) }, 'record not corrected after a refused write');
  }
}
