// Reconciles one managed identity that pods need as a federated one. The key is its lower-case ARM id.
//
//   record    what Azure reported, the credential, whether the broker has proven it
//   status    at once, where the record is proven: no call to Azure for a new pod
//   compare   GET the identity and its credentials, unless that was done a while ago and nobody asks for it
//   plan      which credential to use or to make
//   apply     record the intent, PUT, let the broker prove it, record that
//   status    on the AzureAssignedIdentities, with Events
//   unused    once no pod needs it: delete our credentials after the delay
import { identityIdOf } from '../../lib/azure/resource-ids.ts';
import type { Reconcile, ReconcileResult } from '../../lib/controller/reconcile.ts';
import type { FederationRecord } from '../../lib/identities/federation/record.ts';
import type { Need } from '../../lib/identities/need.ts';
import { compareCredentials, removeFormer } from './compare.ts';
import type { FederationContext, FederationOptions, IdentityEntry } from './context.ts';
import { interruptedMs } from './context.ts';
import type { Failure } from './failure.ts';
import { failureOf, retryMsOf } from './failure.ts';
import { isProofDue, isSameTrust } from './plan.ts';
import { blocked, compared, failed, initialState, isRefreshDue, needsKnown, refreshRequested, versionsOf } from './state.ts';
import { writeAssigned, writeFailed } from './status.ts';
import { createTurns } from './turns.ts';
import { reconcileUnused } from './unused.ts';

export interface FederationReconciler {
  reconcile: Reconcile;
  /** The next reconciliation compares with Azure, whatever the last one found. */
  refresh(identityId: string): void;
  /** Drops what waits for a turn. */
  stop(): void;
}

export interface FederationReconcilerOptions extends FederationOptions {
  /** The identity waited for its turn to be compared with Azure, and has it now: it is to be reconciled. */
  onTurn(identityId: string): void;
}

/** Longest time between two comparisons of an identity in use. A credential that is gone is found earlier: the broker reports it. */
const resyncMs = 60 * 60_000;
/** The issuer of the broker's token is looked at so often. */
const trustMs = 5 * 60_000;
/** Reports do not make comparisons of one identity follow each other faster. */
const refreshMs = 10_000;
/** A longer wait is told on the objects. */
const toldWaitMs = 5_000;

export function createFederationReconciler(options: FederationReconcilerOptions): FederationReconciler {
  const entries = new Map<string, IdentityEntry>();
  const turns = createTurns(options);

  function entryOf(identityId: string): IdentityEntry {
    const entry = entries.get(identityId) ?? { state: initialState };
    entries.set(identityId, entry);
    return entry;
  }

  return {
    async reconcile(key, { signal }) {
      const identity = identityIdOf(key);
      if (identity === undefined) return { done: true };
      const nothing = { record: undefined, resourceVersion: undefined };
      const result = await reconcileOrFail({ ...options, turns, identity, entry: entryOf(identity), signal, stored: nothing });
      if (result.done === true) {
        entries.delete(identity);
        turns.leave(identity);
      }
      return result;
    },

    refresh(identityId) {
      const entry = entries.get(identityId);
      if (entry !== undefined) entry.state = refreshRequested(entry.state);
    },

    stop: () => turns.stop(),
  };
}

async function reconcileOrFail(context: FederationContext): Promise<ReconcileResult> {
  try {
    return await reconcileIdentity(context);
  } catch (error) {
    if (context.signal.aborted) return {};
    const failure = failureOf(error, context.identity);
    if (failure === undefined) throw error;
    // Whatever the record said before, what is saved now has no credential where Azure refused to make it.
    const isLost = context.stored.record !== undefined && context.stored.record.credential === undefined;
    return fail(context, failure, isLost);
  }
}

async function reconcileIdentity(context: FederationContext): Promise<ReconcileResult> {
  const { entry, identity, store, clock } = context;
  const now = clock.wall();
  context.stored = store.load(identity);
  const needs = context.needsOf(identity);
  if (needs.length === 0) return reconcileUnused(context, now);
  const { record } = context.stored;
  if (record?.unusedSince !== undefined) context.stored = await store.save(context.stored, { ...record, unusedSince: undefined });
  entry.state = needsKnown(entry.state, versionsOf(needs));

  if (isUsable(context.stored.record)) await writeAssigned(context, needs, context.stored.record);
  if (needs.every(({ keepOnly }) => keepOnly)) return { requeueAfterMs: resyncMs };
  const waitMs = entry.state.blockedUntil - now;
  if (waitMs > 0) return waitBlocked(context, needs, waitMs);
  return compareIfDue(context, now);
}

async function compareIfDue(context: FederationContext, now: number): Promise<ReconcileResult> {
  const { entry, broker, signal, clock, random } = context;
  const { record } = context.stored;
  const trust = await broker.trust(signal);
  const { comparedAt } = entry.state;
  const isCurrent = isUsable(record) && !isProofDue(record) && isSameTrust(record, trust);
  const remainingMs = (comparedAt ?? Number.NEGATIVE_INFINITY) + resyncMs - now;
  // After a start, records that are proven are compared in the course of an interval, not all at once.
  if (comparedAt === undefined && isCurrent && !isRefreshDue(entry.state)) {
    entry.state = compared(entry.state, { requested: entry.state.refreshes.requested, now: now - resyncMs * random() });
    return { requeueAfterMs: trustMs };
  }
  if (isCurrent && remainingMs > 0 && !isRefreshDue(entry.state)) return { requeueAfterMs: Math.min(remainingMs, trustMs) };
  const refreshInMs = (comparedAt ?? Number.NEGATIVE_INFINITY) + refreshMs - now;
  if (isCurrent && refreshInMs > 0) return { requeueAfterMs: refreshInMs };
  const turnInMs = takeTurn(context);
  if (turnInMs > 0) return waitForTurn(context, turnInMs);

  const { requested } = entry.state.refreshes;
  const result = await compareCredentials(context, trust);
  if (result.kind === 'interrupted') return { requeueAfterMs: interruptedMs };
  if (result.kind === 'failed') return fail(context, result.failure, result.lost);
  entry.state = compared(entry.state, { requested, now: clock.wall() });
  // Pods came and went meanwhile.
  await writeAssigned(context, context.needsOf(context.identity), result.record);
  const retryMs = await removeFormer(context, result.record);
  return { requeueAfterMs: Math.min(retryMs ?? trustMs, trustMs, nextFormerMs(context, clock.wall())) };
}

/** Milliseconds until the identity may be compared, at most; 0: now. */
function takeTurn({ turns, identity, needsOf }: FederationContext): number {
  const needs = needsOf(identity).filter(({ keepOnly }) => keepOnly !== true);
  return turns.take(identity, new Set(needs.map(({ match }) => match.identity.namespace)));
}

async function waitForTurn(context: FederationContext, waitMs: number): Promise<ReconcileResult> {
  const { identity, needsOf, clock, stored } = context;
  if (waitMs >= toldWaitMs && !isUsable(stored.record)) {
    const message = 'many identities are to be compared with Azure at once: each waits for its turn';
    const failure = { reason: 'Federating', message, retry: '1 to 30 s' } as const;
    await writeFailed(context, needsOf(identity), { failure, until: clock.wall() + waitMs, lost: false, silentOnly: true });
  }
  // Earlier by `onTurn`, unless its place went to another namespace.
  return { requeueAfterMs: waitMs + toldWaitMs };
}

const isUsable = (record: FederationRecord | undefined): record is FederationRecord =>
  record?.credential !== undefined && record.provenAt !== undefined;

async function waitBlocked(context: FederationContext, needs: readonly Need[], waitMs: number): Promise<ReconcileResult> {
  const { state } = context.entry;
  // Pods of an identity that works already do not wait.
  if (state.failure !== undefined && !isUsable(context.stored.record))
    await writeFailed(context, needs, { failure: state.failure, until: state.blockedUntil, lost: false, silentOnly: true });
  return { requeueAfterMs: waitMs };
}

async function fail(context: FederationContext, failure: Failure, lost: boolean): Promise<ReconcileResult> {
  const { entry, identity, log, clock, random } = context;
  const needs = context.needsOf(identity);
  entry.state = failed(entry.state, failure, versionsOf(needs));
  const retryMs = retryMsOf(failure, entry.state.failures, random);
  const until = clock.wall() + retryMs;
  entry.state = blocked(entry.state, until);
  log.warn({ identity, reason: failure.reason, error: failure.message, retryMs: Math.round(retryMs) }, 'identity not federated');
  await writeFailed(context, needs, { failure, until, lost });
  return { requeueAfterMs: retryMs };
}

function nextFormerMs({ stored, detachDelayMs }: FederationContext, now: number): number {
  const dueMs = (stored.record?.former ?? []).map(({ unusedSince }) => Date.parse(unusedSince) + detachDelayMs - now);
  return Math.max(1_000, Math.min(Number.POSITIVE_INFINITY, ...dueMs.filter((ms) => ms > 0)));
}
