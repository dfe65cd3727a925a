// The leader's second half, one for each scale set or VM: makes Azure's list hold what the pods need, in as few writes as can be.
// Level-triggered: every pass starts from what is wanted, what is recorded and what Azure shows; nothing is remembered that a restart would lose.

import { isConflict } from '../../lib/kube/errors.ts';
import type { EventRecorder } from '../../lib/kube/events.ts';
import type { Logger } from '../../lib/log.ts';
import type { Compute } from '../azure/compute.ts';
import type { AttachedIdentity } from '../azure/plan.ts';
import { planWrites } from '../azure/plan.ts';
import type { Scope } from '../azure/resource-ids.ts';
import type { AssignedIdentities } from './assigned-identities.ts';
import { collectCalls } from './collect.ts';
import { decideScope, settle } from './decide-scope.ts';
import type { Need } from './demand.ts';
import type { Assignment } from './objects.ts';
import { judgeFailure } from './scope-failure.ts';
import { markAttached, markFailed } from './scope-marks.ts';
import type { ScopeRecords, StoredRecord } from './scope-record.ts';
import { withEntries } from './scope-record.ts';

export interface ScopeWorkerOptions {
  scope: Scope;
  needs(): Need[];
  assignmentOf(need: Need): Assignment | undefined;
  compute: Compute;
  records: ScopeRecords;
  objects: AssignedIdentities;
  events: EventRecorder;
  log: Logger;
  /** False once the Lease is about to run out: then nothing is written to Azure. */
  mayWrite(): boolean;
  isProtected(id: string, clientId: string | undefined): boolean;
  lingerMs: number;
  quietMs: number;
  maxMs: number;
  reconcileMs: number;
  now(): Date;
  random(): number;
}

export interface ScopeWorker {
  wake(): void;
  /** Compares with Azure even where nothing is waiting. */
  lookAgain(): void;
  stop(): Promise<void>;
}

export function runScopeWorker(options: ScopeWorkerOptions): ScopeWorker {
  const { scope, compute, records, log } = options;
  const stopping = new AbortController();
  const { signal } = stopping;
  const unusedSince = new Map<string, number>();
  const resting = createRests();
  let lookedAt = Number.NEGATIVE_INFINITY;
  let failures = 0;
  let timer: NodeJS.Timeout | undefined;

  const collector = collectCalls({ quietMs: options.quietMs, maxMs: options.maxMs, run: pass });

  async function pass(): Promise<void> {
    let nextMs: number;
    try {
      nextMs = await reconcile();
      failures = 0;
    } catch (error) {
      if (signal.aborted) return;
      // A conflict only says that a cache was behind: what mends it is on its way.
      nextMs = isConflict(error)
        ? 100
        : await handleFailure(
            error,
            options.needs().map((need) => need.identityId),
            [],
            new Map(),
          ).catch(() => retryDelay(failures, options.random));
    }
    clearTimeout(timer);
    if (!signal.aborted) timer = setTimeout(() => collector.call(), nextMs);
  }

  /** One pass; tells after how long the next one is due without being woken. */
  async function reconcile(): Promise<number> {
    const now = options.now().getTime();
    const needs = options.needs();
    const wanted = new Set(needs.map((need) => need.identityId));
    let stored = await finishOperation(await records.load(scope.id));

    const due = updateLinger(stored, wanted, now);
    const pending = needs.some((need) => !resting.at(now).has(need.identityId) && options.assignmentOf(need)?.status !== 'Assigned');
    const unfinished = [...stored.record.identities.values()].some((entry) => entry.state !== 'owned');
    const drift = now >= lookedAt + options.reconcileMs && (needs.length > 0 || stored.record.identities.size > 0);
    if (!pending && !unfinished && !drift && due.size === 0) return untilNext(now);

    let state = await compute.read(scope, signal);
    lookedAt = now;
    await markAttached(options, needs, state.identities);

    const decision = decideScope({
      record: stored.record,
      attached: state.identities,
      wanted,
      due,
      resting: resting.at(now),
      isProtected: options.isProtected,
    });
    if (stored.record.paused) {
      await markFailed(options, needs, new Set(decision.adds), {
        reason: 'ScopePaused',
        message: 'writes to this scope are paused by its record',
      });
      return options.reconcileMs;
    }
    // The record first: what is written down here is found again by whoever takes over in the middle of the PATCH.
    if (decision.entries.length > 0) stored = await records.save(stored, withEntries(stored.record, decision.entries, options.now()));
    const writes = planWrites(state, { add: decision.adds, remove: decision.removes, owned: new Set(stored.record.identities.keys()) });
    if (writes.length === 0) return untilNext(now);

    let failure: unknown;
    try {
      for (const [index, write] of writes.entries()) {
        if (index > 0) state = await compute.read(scope, signal);
        if (!options.mayWrite()) throw new Error('leadership is about to end');
        await compute.write(scope, write, state, {
          signal,
          onOperation: async (operation) => {
            stored = await records.save(stored, { ...stored.record, operation });
          },
        });
      }
    } catch (error) {
      failure = error;
    }
    if (signal.aborted) return options.reconcileMs;

    // Whatever the write said, a GET tells what is there now.
    state = await compute.read(scope, signal);
    const settled = withEntries(stored.record, settle(stored.record, state.identities, decision), options.now());
    await records.save(stored, { ...settled, operation: undefined });
    await markAttached(options, options.needs(), state.identities);
    log.info({ scope: scope.displayId, added: decision.adds, removed: decision.removes, failed: failure !== undefined }, 'scope written');
    return failure === undefined
      ? untilNext(options.now().getTime())
      : await handleFailure(failure, decision.adds, decision.removes, state.identities);
  }

  /** An operation that a former leader began is waited for, so that ours does not run into it; how it ended, the GET will show. */
  async function finishOperation(stored: StoredRecord): Promise<StoredRecord> {
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

  /** Keeps the time since when a recorded identity is unused; tells those whose linger is over. */
  function updateLinger(stored: StoredRecord, wanted: ReadonlySet<string>, now: number): Set<string> {
    for (const id of unusedSince.keys()) if (wanted.has(id) || !stored.record.identities.has(id)) unusedSince.delete(id);
    const due = new Set<string>();
    for (const id of stored.record.identities.keys()) {
      if (wanted.has(id)) continue;
      const since = unusedSince.get(id) ?? now;
      unusedSince.set(id, since);
      if (since + options.lingerMs <= now) due.add(id);
    }
    return due;
  }

  function untilNext(now: number): number {
    const lingers = [...unusedSince.values()].map((since) => since + options.lingerMs - now).filter((ms) => ms > 0);
    return Math.max(
      50,
      Math.min(options.reconcileMs, lookedAt + options.reconcileMs - now, ...lingers, ...resting.ends().map((end) => end - now)),
    );
  }

  async function handleFailure(
    error: unknown,
    adds: readonly string[],
    removes: readonly string[],
    attached: ReadonlyMap<string, AttachedIdentity>,
  ): Promise<number> {
    const verdict = judgeFailure(error, [...adds, ...removes], options.random);
    const now = options.now().getTime();
    failures += 1;
    const retryMs = verdict.retryMs ?? retryDelay(failures, options.random);
    for (const id of verdict.culprits) resting.fail(id, now);
    const missing = new Set(adds.filter((id) => !attached.has(id) && (verdict.culprits.size === 0 || verdict.culprits.has(id))));
    const retryAt = new Date(now + retryMs).toISOString();
    await markFailed(options, options.needs(), missing, { reason: verdict.reason, message: verdict.message, retryAt });
    log.warn(
      { scope: scope.displayId, code: verdict.code, error: verdict.message, culprits: [...verdict.culprits], retryMs: Math.round(retryMs) },
      'scope write failed',
    );
    return verdict.culprits.size > 0 ? 100 : retryMs;
  }

  return {
    wake: () => collector.call(),
    lookAgain() {
      lookedAt = Number.NEGATIVE_INFINITY;
      collector.call();
    },
    async stop() {
      stopping.abort(new Error('stopped'));
      clearTimeout(timer);
      await collector.stop();
    },
  };
}

const retryDelay = (failures: number, random: () => number): number =>
  Math.min(60_000, 500 * 2 ** Math.min(failures, 8)) * (0.5 + random() / 2);

/** Identities that failed rest for 1, 2, 4 ... 60 minutes, so that they do not hold up the others. */
function createRests() {
  const rests = new Map<string, { until: number; minutes: number }>();
  return {
    at(now: number): Set<string> {
      return new Set([...rests].flatMap(([id, rest]) => (rest.until > now ? [id] : [])));
    },
    ends: () => [...rests.values()].map((rest) => rest.until),
    fail(id: string, now: number): void {
      const minutes = Math.min(60, (rests.get(id)?.minutes ?? 0.5) * 2);
      rests.set(id, { minutes, until: now + minutes * 60_000 });
    },
  };
}
