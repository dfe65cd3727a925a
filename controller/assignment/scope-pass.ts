// The leader's second half, for one scale set or VM: makes Azure's list hold what the pods need, in as few writes as can be.
// Level-triggered: every pass starts from what is wanted, what is recorded and what Azure shows. What it keeps in memory may be lost:
// what Azure showed a moment ago, delays, and why something does not work.
import { KubeError } from '../../lib/kube/errors.ts';
import type { Logger } from '../../lib/log.ts';
import type { Compute, ScopeState } from '../azure/compute.ts';
import { ArmError } from '../azure/errors.ts';
import type { Direction, Isolation } from '../azure/isolation.ts';
import { afterWrite, entryKey, forgetUnwanted, noIsolation, selectWrite } from '../azure/isolation.ts';
import type { Write } from '../azure/plan.ts';
import { planWrites } from '../azure/plan.ts';
import { collectCalls } from './collect.ts';
import { decideScope, entriesToStore, settle } from './decide-scope.ts';
import type { Need } from './demand.ts';
import { createLinger } from './linger.ts';
import { blames, judgeFailure, retryDelay } from './scope-failure.ts';
import type { MarkContext } from './scope-marks.ts';
import { isWaiting, markAttached, markFailed, takenOver, tellAttaching, tellQuarantined } from './scope-marks.ts';
import type { ScopeRecord, ScopeRecords, StoredRecord } from './scope-record.ts';
import { changeRecord, withEntries } from './scope-record.ts';
import type { SightOptions } from './scope-sight.ts';
import { createSight } from './scope-sight.ts';
import { createTroubles } from './scope-troubles.ts';
import { writeAll } from './scope-write.ts';

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

export function createScopePass(options: ScopePassOptions): ScopePass {
  const { scope, compute, records, log } = options;
  const sight = createSight(options);
  const linger = createLinger(options.lingerMs);
  const troubles = createTroubles(options);
  let isolation: Isolation = noIsolation;
  /** When something that is held back, after it made a write fail, may be tried again. */
  let heldUntil = Number.POSITIVE_INFINITY;
  /** After a failure: no call to Azure before. */
  let restUntil = 0;
  /** After a failed write: no write before; what is attached already can be looked at and used. */
  let writeRestUntil = 0;
  /** Since when nothing is left to do for the scope: Azure says that it is not there, or nothing needs it and nothing on it is ours. */
  let idleSince: number | undefined;
  let failures = 0;
  /** While a write is under way. */
  let beside: ReturnType<typeof markBeside> | undefined;

  async function run(signal: AbortSignal): Promise<number> {
    const now = options.now().getTime();
    try {
      if (now < restUntil) {
        if (sight.isUsable(now)) await markSeen();
        await troubles.tell(missing());
        return restUntil - now;
      }
      const before = sight.attached;
      const nextMs = await reconcile(signal, now);
      if (sight.attached !== before) options.onPass(options.now().getTime() - now);
      return nextMs;
    } catch (error) {
      if (signal.aborted) return options.reconcileMs;
      if (error instanceof ArmError && error.failure.code === 'notFound' && options.needs().length === 0) return retire(now);
      const retryMs = await fail(error, new Set(options.needs().map((need) => need.identityId)));
      restUntil = options.now().getTime() + retryMs;
      return retryMs;
    }
  }

  async function reconcile(signal: AbortSignal, now: number): Promise<number> {
    let stored = await finishOperation(await records.load(scope.id), signal);
    const needs = options.needs();
    if (needs.length === 0 && stored.record.identities.size === 0) return retire(now);
    if (needs.length > 0) idleSince = undefined;
    const due = linger.update(stored.record.identities.keys(), new Set(needs.map((need) => need.identityId)), now);
    if (!hasWork(stored.record, needs, due, now)) {
      if (sight.isFresh(now)) await markSeen();
      await troubles.tell(missing());
      return untilNext(now);
    }

    const state = await look(signal);
    stored = await adopt(stored, needs, state.identities);
    // Pods came and went while Azure was asked.
    const wanted = new Set(options.needs().map((need) => need.identityId));
    const decision = decideScope({ record: stored.record, attached: state.identities, wanted, due, isProtected: options.isProtected });
    if (stored.record.paused) {
      await markAttached(options, options.needs(), state.identities);
      await markFailed(options, needs, new Set(decision.adds), {
        reason: 'ScopePaused',
        message: 'writes to this scope are paused by its record',
      });
      return options.reconcileMs;
    }

    const all: Write = { attach: decision.adds, detach: decision.removes };
    isolation = forgetUnwanted(isolation, all);
    const { write, trial, nextAt } = selectWrite(isolation, all, now);
    heldUntil = nextAt ?? Number.POSITIVE_INFINITY;
    const chosen = write === undefined || now < writeRestUntil ? undefined : write;
    if (chosen !== undefined && !options.mayWrite()) return handOverMs;
    // The record first: what is written down here is found again by whoever takes over in the middle of the PATCH.
    const entries = entriesToStore(decision, chosen ?? { attach: [], detach: [] });
    if (entries.length > 0) stored = await records.save(stored, withEntries(stored.record, entries, options.now()));
    if (chosen !== undefined) {
      tellAttaching(options, needs, chosen.attach);
      return carryOut(chosen, trial, stored, state, signal);
    }
    await markAttached(options, options.needs(), state.identities);
    await troubles.tell(missing());
    failures = 0;
    return untilNext(now);
  }

  async function carryOut(write: Write, trial: boolean, begun: StoredRecord, before: ScopeState, signal: AbortSignal): Promise<number> {
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
    beside = markBeside(write);
    beside.call();
    const { outcomeOf, failure, handedOver } = await writeAll(steps, writes, before, signal);
    await beside.stop();
    beside = undefined;
    if (signal.aborted) return options.reconcileMs;

    // Whatever the write said, a GET tells what is there now.
    const { identities: after } = await look(signal);
    const end = { write, before: before.identities, after, outcomeOf };
    stored = await changeRecord(records, stored, (record) => ({
      ...withEntries(record, settle(record, end), options.now()),
      operation: undefined,
    }));
    await markAttached(options, options.needs(), after);
    log.info({ scope: scope.displayId, attach: write.attach, detach: write.detach, ok: failure === undefined }, 'scope written');

    if (handedOver) return handOverMs;
    const now = options.now().getTime();
    if (failure === undefined) {
      failures = 0;
      isolation = afterWrite(isolation, { write, trial }, { ok: true }, now);
      return trial || heldUntil <= now ? 100 : untilNext(now);
    }
    if (blames(failure.error)) {
      const { culprits, message } = judgeFailure(failure.error, [...write.attach, ...write.detach], options.random);
      isolation = afterWrite(isolation, { write, trial }, { ok: false, culprits }, now);
      tellQuarantined(options, options.needs(), (id) => isolation.quarantine.get(entryKey('attach', id)), message);
      heldUntil = now;
    }
    const retryMs = await fail(failure.error, new Set(write.attach.filter((id) => !after.has(id))));
    writeRestUntil = options.now().getTime() + retryMs;
    return retryMs;
  }

  async function look(signal: AbortSignal): Promise<ScopeState> {
    sight.begin();
    const state = await compute.read(scope, signal);
    sight.end(state.identities);
    idleSince = undefined;
    return state;
  }

  /** Before the objects are marked: once one has our notes, nothing tells any more that a MIC attached its identity. */
  async function adopt(stored: StoredRecord, needs: readonly Need[], attached: ScopeState['identities']): Promise<StoredRecord> {
    const taken = options.adoptAttached ? takenOver(options, needs, attached).filter((id) => !stored.record.identities.has(id)) : [];
    if (taken.length === 0) return stored;
    return changeRecord(records, stored, (record) =>
      withEntries(
        record,
        taken.map((id) => [id, 'owned']),
        options.now(),
      ),
    );
  }

  /** Objects of pods that came after the last look. */
  const markSeen = (needs = waiting()) => markAttached(options, needs, sight.attached ?? new Map());

  /** A pod must not wait for a write that has nothing to do with its identity: Azure may take minutes for it. */
  function markBeside(write: Write) {
    const written = new Set([...write.attach, ...write.detach]);
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

  /** The record of a scope that stays idle for a whole interval goes: nodes come and go under ever new names. */
  async function retire(now: number): Promise<number> {
    idleSince ??= now;
    const restMs = idleSince + options.reconcileMs - now;
    if (restMs > 0) return restMs;
    try {
      const stored = await records.load(scope.id);
      // The brake of a person stays on.
      if (!stored.record.paused) await records.remove(stored);
      log.info({ scope: scope.displayId }, 'scope is idle or gone, its record is removed');
    } catch (error) {
      log.warn({ scope: scope.displayId, error: String(error) }, 'record of an idle scope not removed');
      return options.reconcileMs;
    }
    return Number.POSITIVE_INFINITY;
  }

  /** Tells the objects that wait for these identities what happened; returns the time until the next try. */
  async function fail(error: unknown, waitingFor: ReadonlySet<string>): Promise<number> {
    const verdict = judgeFailure(error, [...waitingFor], options.random);
    failures += 1;
    const retryMs = retryDelay(error, verdict, failures, options.random);
    const about = verdict.culprits.size === 0 ? waitingFor : verdict.culprits;
    log.warn(
      { scope: scope.displayId, code: verdict.code, error: verdict.message, culprits: [...verdict.culprits], retryMs: Math.round(retryMs) },
      'scope not written',
    );
    // What the API server refuses is none of Azure's doing, and could not be written down there.
    if (error instanceof KubeError) return retryMs;
    const next = options.now().getTime() + retryMs;
    // One that is kept out of writes has no part in the next.
    const untilOf = (id: string) => Math.max(next, isolation.quarantine.get(entryKey('attach', id))?.until ?? 0);
    const { reason, message } = verdict;
    for (const id of about) troubles.note([id], { reason, message, until: untilOf(id) });
    if (!blames(error)) troubles.note(undefined, { reason, message, until: next });
    try {
      await markFailed(options, options.needs(), about, { reason, message, retryAtOf: (id) => new Date(untilOf(id)).toISOString() });
    } catch (unsaid) {
      log.warn({ scope: scope.displayId, error: String(unsaid) }, 'failure not noted on the objects');
    }
    return retryMs;
  }

  function hasWork(record: ScopeRecord, needs: readonly Need[], due: ReadonlySet<string>, now: number): boolean {
    const { attached } = sight;
    if (attached === undefined || now >= (sight.nextLookAt() ?? now)) return needs.length > 0 || record.identities.size > 0;
    if (!sight.isFresh(now) && needs.some((need) => attached.get(need.identityId) && isWaiting(options.assignmentOf(need)))) return true;
    if (now < writeRestUntil && sight.isFresh(now)) return false;
    if (heldUntil <= now) return true;
    const held = (direction: Direction, id: string) =>
      isolation.quarantine.has(entryKey(direction, id)) || isolation.suspects.some((write) => write[direction].includes(id));
    const lacks = ({ identityId: id }: Need) => !attached.has(id) || (attached.get(id) === null && record.identities.has(id));
    if (needs.some((need) => lacks(need) && !held('attach', need.identityId))) return true;
    if ([...due].some((id) => !held('detach', id))) return true;
    return [...record.identities].some(([id, { state }]) => state === 'intent' || (state === 'detaching' && !held('detach', id)));
  }

  /** An operation that a former leader began is waited for, so that ours does not run into it; how it ended, the GET will show. */
  async function finishOperation(stored: StoredRecord, signal: AbortSignal): Promise<StoredRecord> {
    const { operation } = stored.record;
    if (operation === undefined) return stored;
    try {
      await compute.resume(scope, operation, signal);
    } catch (error) {
      if (signal.aborted) throw error;
      log.info({ scope: scope.displayId, error: String(error) }, 'operation of a former leader did not succeed');
    }
    sight.forget();
    return changeRecord(records, stored, (record) => ({ ...record, operation: undefined }));
  }

  function untilNext(now: number): number {
    const look = (sight.nextLookAt() ?? now + options.reconcileMs) - now;
    // Overdue only where nothing is needed or recorded, and so nothing has to be looked at.
    const next = [look > 0 ? look : options.reconcileMs, linger.nextMs(now), heldUntil - now];
    if (writeRestUntil > now) next.push(writeRestUntil - now);
    return Math.max(50, Math.min(options.reconcileMs * 1.1, ...next));
  }

  return {
    run,
    wake: () => beside?.call(),
    lookAgain: () => sight.doubt(),
  };
}
