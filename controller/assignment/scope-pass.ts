// The leader's second half, for one scale set or VM: makes Azure's list hold what the pods need, in as few writes as can be.
// Level-triggered: every pass starts from what is wanted, what is recorded and what Azure shows. What it keeps in memory are delays only.
import { isConflict } from '../../lib/kube/errors.ts';
import type { Logger } from '../../lib/log.ts';
import type { Compute, ScopeState } from '../azure/compute.ts';
import type { Isolation } from '../azure/isolation.ts';
import { afterWrite, entryKey, forgetUnwanted, noIsolation, selectWrite } from '../azure/isolation.ts';
import type { Write } from '../azure/plan.ts';
import { planWrites } from '../azure/plan.ts';
import type { ScopeDecision } from './decide-scope.ts';
import { decideScope, settle } from './decide-scope.ts';
import type { Need } from './demand.ts';
import { createLinger } from './linger.ts';
import { blames, judgeFailure } from './scope-failure.ts';
import type { MarkContext } from './scope-marks.ts';
import { isWaiting, markAttached, markFailed } from './scope-marks.ts';
import type { ScopeRecords, StoredRecord } from './scope-record.ts';
import { withEntries } from './scope-record.ts';

export interface ScopePassOptions extends MarkContext {
  needs(): Need[];
  compute: Compute;
  records: ScopeRecords;
  log: Logger;
  /** False once the Lease is about to run out: then nothing is written to Azure. */
  mayWrite(): boolean;
  isProtected(id: string, clientId: string | undefined): boolean;
  lingerMs: number;
  /** Longest time between two looks at Azure. */
  reconcileMs: number;
  /** From 0 to 1. */
  random(): number;
}

export interface ScopePass {
  /** Never throws; tells after how many milliseconds the next pass is due without being woken. */
  run(signal: AbortSignal): Promise<number>;
  lookAgain(): void;
}

export function createScopePass(options: ScopePassOptions): ScopePass {
  const { scope, compute, records, log } = options;
  const linger = createLinger(options.lingerMs);
  let isolation: Isolation = noIsolation;
  /** When something that is held back, after it made a write fail, may be tried again. */
  let heldUntil = Number.POSITIVE_INFINITY;
  /** After a failure: no call to Azure before. */
  let restUntil = 0;
  let lookedAt = Number.NEGATIVE_INFINITY;
  let failures = 0;

  async function run(signal: AbortSignal): Promise<number> {
    const now = options.now().getTime();
    if (now < restUntil) return restUntil - now;
    try {
      const nextMs = await reconcile(signal, now);
      return nextMs;
    } catch (error) {
      if (signal.aborted) return options.reconcileMs;
      // A conflict only says that a cache was behind: what mends it is on its way.
      if (isConflict(error)) return 100;
      const waiting = new Set(options.needs().map((need) => need.identityId));
      return fail(error, waiting).catch(() => options.reconcileMs);
    }
  }

  async function reconcile(signal: AbortSignal, now: number): Promise<number> {
    const needs = options.needs();
    const wanted = new Set(needs.map((need) => need.identityId));
    let stored = await finishOperation(await records.load(scope.id), signal);
    const due = linger.update(stored.record.identities.keys(), wanted, now);
    if (!hasWork(stored, needs, due, now)) return untilNext(now);

    const state = await compute.read(scope, signal);
    lookedAt = now;
    await markAttached(options, needs, state.identities);
    const decision = decideScope({ record: stored.record, attached: state.identities, wanted, due, isProtected: options.isProtected });
    if (stored.record.paused) {
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
    const chosen = write ?? { attach: [], detach: [] };
    // The record first: what is written down here is found again by whoever takes over in the middle of the PATCH.
    const entries = entriesOf(decision, chosen);
    if (entries.length > 0) stored = await records.save(stored, withEntries(stored.record, entries, options.now()));
    if (write === undefined) return untilNext(now);
    return carryOut(write, trial, stored, state, signal);
  }

  async function carryOut(write: Write, trial: boolean, begun: StoredRecord, seen: ScopeState, signal: AbortSignal): Promise<number> {
    let stored = begun;
    let failure: { error: unknown } | undefined;
    const owned = new Set(stored.record.identities.keys());
    try {
      let state = seen;
      for (const [index, chunk] of planWrites(seen, { add: write.attach, remove: write.detach, owned }).entries()) {
        if (index > 0) state = await compute.read(scope, signal);
        if (!options.mayWrite()) throw new Error('leadership is about to end');
        const onOperation = async (operation: string) => {
          stored = await records.save(stored, { ...stored.record, operation });
        };
        await compute.write(scope, chunk, state, { signal, onOperation });
      }
    } catch (error) {
      failure = { error };
    }
    if (signal.aborted) return options.reconcileMs;

    // Whatever the write said, a GET tells what is there now.
    const { identities } = await compute.read(scope, signal);
    const settled = withEntries(stored.record, settle(stored.record, identities, write), options.now());
    await records.save(stored, { ...settled, operation: undefined });
    await markAttached(options, options.needs(), identities);
    log.info({ scope: scope.displayId, attach: write.attach, detach: write.detach, ok: failure === undefined }, 'scope written');

    const now = options.now().getTime();
    if (failure === undefined) {
      failures = 0;
      isolation = afterWrite(isolation, { write, trial }, { ok: true }, now);
      return trial || heldUntil <= now ? 100 : untilNext(now);
    }
    const culprits = judgeFailure(failure.error, [...write.attach, ...write.detach], options.random).culprits;
    if (blames(failure.error)) {
      isolation = afterWrite(isolation, { write, trial }, { ok: false, culprits }, now);
      heldUntil = now;
    }
    return fail(failure.error, new Set(write.attach.filter((id) => !identities.has(id))));
  }

  /** Tells the objects that wait for these identities what happened; returns the delay, during which Azure is left alone. */
  async function fail(error: unknown, waitingFor: ReadonlySet<string>): Promise<number> {
    const verdict = judgeFailure(error, [...waitingFor], options.random);
    failures += 1;
    // What failed because of one identity is tried again at once without it.
    const retryMs = blames(error) ? 100 : (verdict.retryMs ?? retryDelay(failures, options.random));
    const now = options.now().getTime();
    restUntil = now + retryMs;
    const about = verdict.culprits.size === 0 ? waitingFor : verdict.culprits;
    log.warn(
      { scope: scope.displayId, code: verdict.code, error: verdict.message, culprits: [...verdict.culprits], retryMs: Math.round(retryMs) },
      'scope not written',
    );
    await markFailed(options, options.needs(), about, {
      reason: verdict.reason,
      message: verdict.message,
      retryAt: new Date(restUntil).toISOString(),
    });
    return retryMs;
  }

  function hasWork(stored: StoredRecord, needs: readonly Need[], due: ReadonlySet<string>, now: number): boolean {
    const held = (id: string) =>
      heldUntil > now && (isolation.quarantine.has(entryKey('attach', id)) || isolation.suspects.some(({ attach }) => attach.includes(id)));
    if (needs.some((need) => isWaiting(options.assignmentOf(need)) && !held(need.identityId))) return true;
    if ([...stored.record.identities.values()].some((entry) => entry.state !== 'owned')) return true;
    if (due.size > 0 || heldUntil <= now) return true;
    return now >= lookedAt + options.reconcileMs && (needs.length > 0 || stored.record.identities.size > 0);
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
    return records.save(stored, { ...stored.record, operation: undefined });
  }

  function untilNext(now: number): number {
    return Math.max(50, Math.min(options.reconcileMs, lookedAt + options.reconcileMs - now, linger.nextMs(now), heldUntil - now));
  }

  return {
    run,
    lookAgain() {
      lookedAt = Number.NEGATIVE_INFINITY;
    },
  };
}

/** Entries for what is held back are left out: what is not attempted is not intended. */
function entriesOf(decision: ScopeDecision, chosen: Write): ScopeDecision['entries'] {
  const attempted = new Set([...chosen.attach, ...chosen.detach]);
  const held = new Set([...decision.adds, ...decision.removes].filter((id) => !attempted.has(id)));
  return decision.entries.filter(([id]) => !held.has(id));
}

const retryDelay = (failures: number, random: () => number): number =>
  Math.min(60_000, 500 * 2 ** Math.min(failures, 8)) * (0.5 + random() / 2);
