// Runs a reconciler over a work queue.
//
//   informers --enqueue(key)--> debounce --> work queue --> reconcile(key) --result--> forget, requeue at a date, or retry
//
// - One key is never reconciled twice at a time; `concurrency` keys are reconciled at the same time, in the order in which they became ready.
// - A reconciler that throws is tried again after an exponential back-off of its key; other keys go on.
// - A conflict, or an object that exists already, says that the cache was behind: it is retried too, but not logged as a failure. Nor is an object
//   that may not be created because its namespace is being deleted.
// - A success forgets the back-off. `requeueAfterMs` then sets the next date; `done` drops the date that is still set.
// - `stop` aborts the signal of the context, drops what waits and resolves when the reconciliations under way have ended.
import type { Clock } from '../../common/clock.ts';
import { systemClock } from '../../common/clock.ts';
import { isAlreadyExists, isConflict, isNamespaceTerminating } from '../kube/errors.ts';
import type { Logger } from '../log.ts';
import { silentLogger } from '../log.ts';
import { onceIn } from '../once-in.ts';
import type { ControllerMetrics, ReconcileOutcome } from './metrics.ts';
import type { Reconcile, ReconcileResult } from './reconcile.ts';
import type { Debounce } from './work-queue.ts';
import { WorkQueue } from './work-queue.ts';

/** Runs one reconciler over a work queue until it is stopped. */
export interface Runner {
  /** Reconciles the key after the debounce, or at once where there is none. */
  enqueue(key: string): void;
  /** Reconciles the key after `delayMs`, without debounce; the earliest of several dates counts. */
  enqueueAfter(key: string, delayMs: number): void;
  /** Resolves when the reconciliations under way have ended; what waits is dropped. */
  stop(): Promise<void>;
}

export interface RunnerOptions {
  /** Label of the metrics and field of the logs. */
  name: string;
  reconcile: Reconcile;
  /** Keys that are reconciled at the same time. */
  concurrency: number;
  /** A key waits for `quietMs` without another change, at most `maxMs` after the first one. */
  debounce?: Debounce | undefined;
  /** Shortest and longest back-off of a key that fails; 100 ms and 30 s by default. */
  backoffMs?: readonly [min: number, max: number] | undefined;
  /** Failures are logged as warnings, those with the same text once a minute. */
  log?: Logger | undefined;
  metrics?: ControllerMetrics | undefined;
  clock?: Clock | undefined;
}

/**
 * Starts a runner without keys.
 * @example
 * const runner = startRunner({ name: 'scopes', reconcile, concurrency: Infinity, debounce: { quietMs: 300, maxMs: 1000 }, log, metrics });
 * informer.onChange(({ key }) => runner.enqueue(key));
 * await runner.stop();
 */
export function startRunner(options: RunnerOptions): Runner {
  const { name, concurrency, metrics, log = silentLogger, clock = systemClock } = options;
  const stopping = new AbortController();
  const active = new Set<Promise<void>>();
  const isNew = onceIn(60_000, clock);
  let isPumpDue = false;

  const queue = new WorkQueue({
    onReady: pumpSoon,
    debounce: options.debounce,
    backoffMs: options.backoffMs,
    metrics: metrics?.queue(name),
    clock,
  });

  /** In a microtask: the adds of one burst collapse, and no reconciler runs on the stack of whoever adds. */
  function pumpSoon(): void {
    if (isPumpDue) return;
    isPumpDue = true;
    queueMicrotask(() => {
      isPumpDue = false;
      pump();
    });
  }

  function pump(): void {
    while (active.size < concurrency) {
      const key = queue.take();
      if (key === undefined) return;
      const work = run(key).finally(() => {
        active.delete(work);
        pumpSoon();
      });
      active.add(work);
    }
  }

  /** Never rejects. */
  async function run(key: string): Promise<void> {
    const beganAt = clock.now();
    let outcome: ReconcileOutcome | undefined;
    try {
      outcome = settle(key, await options.reconcile(key, { signal: stopping.signal }));
    } catch (error) {
      outcome = retry(key, error);
    }
    if (outcome !== undefined) metrics?.reconciled(name, outcome, (clock.now() - beganAt) / 1000);
    queue.done(key);
  }

  function settle(key: string, { requeueAfterMs, done }: ReconcileResult): ReconcileOutcome {
    queue.forget(key);
    if (done === true) queue.unschedule(key);
    if (requeueAfterMs === undefined) return 'success';
    queue.addAfter(key, requeueAfterMs);
    return 'requeue_after';
  }

  /** Undefined for work that was broken off by the stop. */
  function retry(key: string, error: unknown): ReconcileOutcome | undefined {
    if (stopping.signal.aborted) {
      log.debug({ controller: name, key, error: textOf(error) }, 'reconcile aborted');
      return undefined;
    }
    const retryMs = Math.round(queue.addRateLimited(key));
    const text = textOf(error);
    const fields = { controller: name, key, error: text, retryMs };
    if (isStale(error)) {
      log.debug(fields, 'reconcile met a conflict');
      return 'requeue';
    }
    if (isNew(text)) log.warn(fields, 'reconcile failed');
    return 'error';
  }

  return {
    enqueue: (key) => queue.add(key),
    enqueueAfter: (key, delayMs) => queue.addAfter(key, delayMs),
    async stop() {
      stopping.abort(new Error('stopped'));
      queue.stop();
      await Promise.all(active);
    },
  };
}

/** The cache was behind: the event that brings it up to date is on its way, or the events that everything of the namespace is gone. */
function isStale(error: unknown): boolean {
  if (error instanceof AggregateError) return error.errors.every(isStale);
  return isConflict(error) || isAlreadyExists(error) || isNamespaceTerminating(error);
}

/** An AggregateError with all its errors: its own message says nothing of them. */
function textOf(error: unknown): string {
  return error instanceof AggregateError ? error.errors.map(textOf).join('; ') : String(error);
}
