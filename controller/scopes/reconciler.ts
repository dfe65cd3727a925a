// The leader's second half, for one scale set or VM: makes Azure's list hold what the pods need, in as few writes as can be.
// Level-triggered: every pass starts from what is wanted, what is recorded and what Azure shows. What it keeps in memory may be lost:
// what Azure showed a moment ago, delays, and why something does not work.

import { collectCalls } from '../../lib/controller/debounce.ts';
import type { Need } from '../../lib/identities/need.ts';
import { isForbidden, isInvalid } from '../../lib/kube/errors.ts';
import type { Logger } from '../../lib/log.ts';
import type { Compute, ScopeState } from '../azure/arm/compute.ts';
import { ArmError } from '../azure/arm/errors.ts';
import { planWrites } from '../azure/arm/identity-map.ts';
import { isRunning } from '../azure/arm/operation.ts';
import { writeAll } from './apply.ts';
import type { Chosen } from './backoff.ts';
import { createHolds } from './backoff.ts';
import { createLinger } from './detach-delay.ts';
import { blames, judgeFailure } from './failure.ts';
import type { SightOptions } from './observed-state.ts';
import { createSight } from './observed-state.ts';
import type { ScopeRecords, StoredRecord } from './ownership.ts';
import { changeRecord, RecordError, scopeRecordName, withEntries, withState } from './ownership.ts';
import { decideScope, entriesToStore, settle } from './plan.ts';
import { createScopeEnd } from './scope-end.ts';
import { createTroubles } from './scope-troubles.ts';
import { hasWork } from './scope-work.ts';
import type { MarkContext } from './status.ts';
import { isWaiting, markAttached, markFailed, takenOver, tellAttaching, tellQuarantined } from './status.ts';

export interface ScopePassOptions extends MarkContext, SightOptions {
  /** A scope waits for so long without a change before it looks, ... */
  quietMs: number;
  /** ... and at most for so long after the first change. */
  maxMs: number;
  needs(): Need[];
  compute: Compute;
  records: ScopeRecords;
  log: Logger;
  /** False once the Lease is about to run out: then nothing is written to Azure. */
  mayWrite(): boolean;
  isProtected(id: string, clientId: string | undefined): boolean;
  lingerMs: number;
  /** Makes ours what a MIC attached for objects that we took over; otherwise it is foreign and stays for ever. */
  adoptAttached: boolean;
  /** A pass that called Azure ended, so many milliseconds after it began. */
  onPass(durationMs: number): void;
}

export interface ScopePass {
  /** Never throws; tells after how many milliseconds the next pass is due without being woken. */
  run(signal: AbortSignal): Promise<number>;
  /** Something changed while a pass may be under way. */
  wake(): void;
  /** The next look is due, whatever the last one showed. */
  lookAgain(): void;
}

/** A Lease that is about to end is not Azure's failure, and so nothing to tell: the next leader goes on, or this one once it has renewed. */
const handOverMs = 500;

/** An API server that failed is asked again after so long, whatever Azure's own rest is. */
const retryMarksMs = 5_000;

/** So often it is looked whether a person took the brake off: no watch tells. */
const pausedMs = 5_000;

/** An operation is under way, whoever's it is. */
const isMoving = ({ provisioningState }: ScopeState): boolean => provisioningState !== '' && isRunning(provisioningState);

export function createScopePass(options: ScopePassOptions): ScopePass {
  const { scope, compute, records, log } = options;
  const sight = createSight(options);
  const linger = createLinger(options.lingerMs);
  const troubles = createTroubles(options);
  const end = createScopeEnd(options);
  const holds = createHolds(options.random);
  /** While a write is under way. */
  let beside: ReturnType<typeof markBeside> | undefined;

  async function run(signal: AbortSignal): Promise<number> {
    const now = options.now().getTime();
    try {
      const restMs = holds.restMs(now);
      if (restMs > 0) return await markAtRest(restMs, now);
      const before = sight.attached;
      const nextMs = await reconcile(signal, now);
      if (sight.attached !== before) options.onPass(options.now().getTime() - now);
      return nextMs;
    } catch (error) {
      if (signal.aborted) return options.reconcileMs;
      if (error instanceof ArmError && error.failure.code === 'notFound' && options.needs().length === 0) return end.idle(now);
      const retryMs = await fail(error, new Set(options.needs().map((need) => need.identityId)));
      holds.restCalls(options.now().getTime() + retryMs);
      return retryMs;
    }
  }

  async function reconcile(signal: AbortSignal, now: number): Promise<number> {
    let stored = await finishOperation(await records.load(scope.id), signal);
    const needs = options.needs();
    if (needs.length === 0 && stored.record.identities.size === 0) return end.idle(now);
    if (needs.length > 0) end.alive();
    if (stored.record.paused) return lookOnly(stored, needs, now, signal);
    const due = linger.update(stored.record.identities.keys(), new Set(needs.map((need) => need.identityId)), now);
    const work = hasWork({
      record: stored.record,
      needs,
      due,
      attached: sight.isOverdue(now) ? undefined : sight.attached,
      fresh: sight.isFresh(now),
      isWaiting: (need) => isWaiting(options.assignmentOf(need)),
      holds,
      now,
    });
    if (!work) {
      if (sight.isFresh(now)) await markSeen();
      await troubles.tell(missing());
      return untilNext(now);
    }

    const state = await look(signal);
    stored = await adopt(stored, needs, state.identities);
    // Pods came and went while Azure was asked.
    const wanted = new Set(options.needs().map((need) => need.identityId));
    const moving = isMoving(state);
    const decision = decideScope({
      record: stored.record,
      attached: state.identities,
      moving,
      wanted,
      due,
      isProtected: options.isProtected,
    });
    // An entry that waits for what an operation leaves behind must not wait for a whole interval.
    if (moving && [...stored.record.identities.keys()].some((id) => !wanted.has(id) && !state.identities.has(id))) sight.doubt();
    const chosen = holds.choose({ attach: decision.adds, detach: decision.removes }, now);
    if (chosen !== undefined && !options.mayWrite()) return handOverMs;
    // The record first: what is written down here is found again by whoever takes over in the middle of the PATCH.
    const entries = entriesToStore(decision, chosen?.write ?? { attach: [], detach: [] });
    if (entries.length > 0) stored = await records.save(stored, withEntries(stored.record, entries, options.now()));
    if (chosen !== undefined) {
      tellAttaching(options, needs, chosen.write.attach);
      return carryOut(chosen, stored, state, signal);
    }
    await markAttached(options, options.needs(), state.identities);
    await troubles.tell(missing());
    holds.settled();
    return untilNext(now);
  }

  async function carryOut(chosen: Chosen, begun: StoredRecord, before: ScopeState, signal: AbortSignal): Promise<number> {
    const { write } = chosen;
    let stored = begun;
    async function onOperation(operation: string): Promise<void> {
      try {
        stored = await changeRecord(records, stored, (record) => ({ ...record, operation }));
      } catch (error) {
        // Azure works on it all the same, and the intent is on record.
        log.warn({ scope: scope.displayId, error: String(error) }, 'operation not recorded');
      }
    }
    const owned = new Set(stored.record.identities.keys());
    const writes = planWrites(before, { add: write.attach, remove: write.detach, owned });
    const steps = { scope, compute, look, mayWrite: options.mayWrite, onOperation };
    beside = markBeside([...write.attach, ...write.detach]);
    beside.call();
    const { outcomeOf, failure, handedOver } = await writeAll(steps, writes, before, signal);
    await beside.stop();
    beside = undefined;
    if (signal.aborted) return options.reconcileMs;

    // Whatever the write said, a GET tells what is there now; until then nobody knows.
    sight.forgetSome([...write.attach, ...write.detach]);
    const seen = await look(signal).catch(async (error: unknown) => {
      // What Azure refused is not ours, whatever the next look shows.
      const refused = write.attach.filter((id) => outcomeOf(id) === 'refused' && !before.identities.has(id));
      if (refused.length > 0) await dropEntries(stored, refused);
      throw error;
    });
    const { identities: after } = seen;
    const moving = isMoving(seen);
    if (moving) sight.doubt();
    const ending = { write, before: before.identities, after, moving, outcomeOf };
    stored = await changeRecord(records, stored, (record) => ({
      ...withEntries(record, settle(record, ending), options.now()),
      operation: undefined,
    }));
    await markAttached(options, options.needs(), after);
    if (failure === undefined && !handedOver)
      log.info({ scope: scope.displayId, attach: write.attach, detach: write.detach }, 'scope written');

    if (handedOver) return handOverMs;
    const now = options.now().getTime();
    if (failure === undefined) {
      holds.succeeded(chosen, now);
      // Azure took them and knows no client id of theirs all the same: not again at the next change of any pod.
      const dead = write.attach.filter((id) => after.get(id) === null);
      if (dead.length > 0) holds.blame({ write: { attach: dead, detach: [] }, trial: false }, new Set(dead), now);
      return chosen.trial || holds.isDue(now) ? 100 : untilNext(now);
    }
    if (blames(failure.error)) {
      const { culprits, message } = judgeFailure(failure.error, [...write.attach, ...write.detach], options.random);
      holds.blame(chosen, culprits, now);
      const quarantineOf = (id: string) => (write.attach.includes(id) ? holds.quarantineOf(id) : undefined);
      tellQuarantined(options, options.needs(), quarantineOf, message);
    }
    const retryMs = await fail(failure.error, new Set(write.attach.filter((id) => !after.has(id))));
    holds.restWrites(options.now().getTime() + retryMs);
    return retryMs;
  }

  async function look(signal: AbortSignal): Promise<ScopeState> {
    const begun = sight.begin();
    const state = await compute.read(scope, signal);
    sight.end(begun, state.identities);
    end.alive();
    return state;
  }

  /** Before the objects are marked: once one has our notes, nothing tells any more that a MIC attached its identity. */
  async function adopt(stored: StoredRecord, needs: readonly Need[], attached: ScopeState['identities']): Promise<StoredRecord> {
    const taken = options.adoptAttached ? takenOver(options, needs, attached).filter((id) => !stored.record.identities.has(id)) : [];
    if (taken.length === 0) return stored;
    return changeRecord(records, stored, (record) => withState(record, taken, 'owned', options.now()));
  }

  /** Objects of pods that came after the last look. */
  const markSeen = (needs = waiting()) => markAttached(options, needs, sight.attached ?? new Map());

  /** For so long Azure is not called; what it showed before can still be used. */
  async function markAtRest(restMs: number, now: number): Promise<number> {
    try {
      if (sight.isUsable(now)) await markSeen();
      await troubles.tell(missing());
      return restMs;
    } catch (error) {
      // It is the API server that fails now, which has no say in how long Azure rests.
      log.debug({ scope: scope.displayId, error: String(error) }, 'objects not marked');
      return Math.min(restMs, retryMarksMs);
    }
  }

  /** A person's brake: pods may use what is attached, and nothing else happens. */
  async function lookOnly(stored: StoredRecord, needs: readonly Need[], now: number, signal: AbortSignal): Promise<number> {
    if (sight.isOverdue(now)) await adopt(stored, needs, (await look(signal)).identities);
    await markSeen();
    const message = `writes to ${scope.displayId} are paused: remove data.paused of ConfigMap ${scopeRecordName(scope.id)} to go on`;
    await markFailed(options, missing(), new Set(missing().map((need) => need.identityId)), { reason: 'ScopePaused', message });
    return Math.min(untilNext(now), pausedMs);
  }

  async function dropEntries(stored: StoredRecord, ids: readonly string[]): Promise<void> {
    try {
      await changeRecord(records, stored, (record) => withState(record, ids, undefined, options.now()));
    } catch (error) {
      log.warn({ scope: scope.displayId, error: String(error) }, 'record not corrected after a refused write');
    }
  }

  /** A pod must not wait for a write that has nothing to do with its identity: Azure may take minutes for it. `written`: ids that are part of it. */
  function markBeside(ids: Iterable<string>) {
    const written = new Set(ids);
    return collectCalls({
      quietMs: options.quietMs,
      maxMs: options.maxMs,
      async run() {
        try {
          await markSeen(waiting().filter((need) => !written.has(need.identityId)));
        } catch (error) {
          log.debug({ scope: scope.displayId, error: String(error) }, 'objects not marked during a write; they will be after it');
        }
      },
    });
  }

  /** Without what a MIC assigned: that has to be adopted first. */
  const waiting = (): Need[] => options.needs().filter((need) => options.assignmentOf(need)?.status === 'Created');

  const missing = (): Need[] => waiting().filter((need) => !sight.attached?.has(need.identityId));

  /** Tells the objects that wait for these identities what happened; returns the time until the next try. */
  async function fail(error: unknown, waitingFor: ReadonlySet<string>): Promise<number> {
    const verdict = judgeFailure(error, [...waitingFor], options.random);
    const retryMs = holds.delayAfter(error, verdict);
    // One that is kept out of writes has a cause of its own, which a scope that rests for a moment must not hide.
    const others = [...waitingFor].filter((id) => blames(error) || holds.quarantineOf(id) === undefined);
    const about = verdict.culprits.size === 0 ? new Set(others) : verdict.culprits;
    log.warn(
      { scope: scope.displayId, code: verdict.code, error: verdict.message, culprits: [...verdict.culprits], retryMs: Math.round(retryMs) },
      'scope not written',
    );
    // An API server that fails is none of Azure's doing, and could not be told there; what it refuses a person has to know.
    if (!(error instanceof ArmError || error instanceof RecordError || isForbidden(error) || isInvalid(error))) return retryMs;
    const next = options.now().getTime() + retryMs;
    // One that is kept out of writes has no part in the next.
    const untilOf = (id: string) => Math.max(next, holds.quarantineOf(id)?.until ?? 0);
    const { reason, message } = verdict;
    for (const id of about) troubles.note([id], { reason, message, until: untilOf(id) });
    if (!blames(error)) troubles.note(undefined, { reason, message, until: next });
    try {
      const retryAtOf = (id: string) => new Date(untilOf(id)).toISOString();
      await markFailed(options, options.needs(), about, { reason, message, retryAtOf, attached: sight.attached });
    } catch (unsaid) {
      log.warn({ scope: scope.displayId, error: String(unsaid) }, 'failure not noted on the objects');
    }
    return retryMs;
  }

  /** An operation that a former leader began is waited for, so that ours does not run into it; how it ended, the GET will show. */
  async function finishOperation(stored: StoredRecord, signal: AbortSignal): Promise<StoredRecord> {
    const { operation } = stored.record;
    if (operation === undefined) return stored;
    // It may take minutes, and pods whose identities it does not touch need not wait for it.
    const touched = [...stored.record.identities].filter(([, { state }]) => state !== 'owned').map(([id]) => id);
    try {
      await look(signal).catch(() => undefined);
      beside = markBeside(touched);
      beside.call();
      await compute.resume(scope, operation, signal);
    } catch (error) {
      if (signal.aborted) throw error;
      log.info({ scope: scope.displayId, error: String(error) }, 'operation of a former leader did not succeed');
    } finally {
      await beside?.stop();
      beside = undefined;
    }
    sight.forget();
    return changeRecord(records, stored, (record) => ({ ...record, operation: undefined }));
  }

  function untilNext(now: number): number {
    const look = (sight.nextLookAt() ?? now + options.reconcileMs) - now;
    // Overdue only where nothing is needed or recorded, and so nothing has to be looked at.
    const next = [look > 0 ? look : options.reconcileMs, linger.nextMs(now), holds.nextMs(now)];
    return Math.max(50, Math.min(options.reconcileMs * 1.1, ...next));
  }

  return {
    run,
    wake: () => beside?.call(),
    lookAgain: () => sight.doubt(),
  };
}
