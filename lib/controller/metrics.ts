// Instruments of work queues and reconcilers under the names of client-go and controller-runtime, so that existing dashboards and alerts read them.
import type { Registry } from 'prom-client';
import { Counter, exponentialBuckets, Gauge, Histogram } from 'prom-client';

/** `requeue`: a conflict, tried again after back-off; `requeue_after`: a success that asked for another date. */
export type ReconcileOutcome = 'success' | 'error' | 'requeue' | 'requeue_after';
const outcomes: readonly ReconcileOutcome[] = ['success', 'error', 'requeue', 'requeue_after'];

export interface QueueMetrics {
  /** Keys that are ready, or active and added again. */
  depth(keys: number): void;
  added(): void;
  /** Work begins after the key has waited so long. */
  taken(waitedSeconds: number): void;
  worked(seconds: number): void;
  retried(): void;
}

export interface ControllerMetrics {
  /** Instruments of the queue of this name. */
  queue(name: string): QueueMetrics;
  reconciled(controller: string, outcome: ReconcileOutcome, seconds: number): void;
}

/** The bounds that controller-runtime gives to the duration of a reconciliation. */
const reconcileSeconds = [
  0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.25, 1.5, 1.75, 2, 2.5, 3, 3.5, 4, 4.5,
  5, 6, 7, 8, 9, 10, 15, 20, 25, 30, 40, 50, 60,
];
/** The bounds of client-go, without those below the resolution of Node's clock. */
const queueSeconds = exponentialBuckets(1e-5, 10, 9);

/** Registers the instruments: once for each registry. */
export function createControllerMetrics(registry: Registry): ControllerMetrics {
  const registers = [registry];
  const labelNames = ['name'] as const;
  const depth = new Gauge({ name: 'workqueue_depth', help: 'keys that wait in the work queue', labelNames, registers });
  const adds = new Counter({ name: 'workqueue_adds_total', help: 'keys added to the work queue', labelNames, registers });
  const retries = new Counter({ name: 'workqueue_retries_total', help: 'keys added after a delay', labelNames, registers });
  const waited = new Histogram({
    name: 'workqueue_queue_duration_seconds',
    help: 'how long a key waits in the work queue before the work on it begins',
    labelNames,
    buckets: queueSeconds,
    registers,
  });
  const worked = new Histogram({
    name: 'workqueue_work_duration_seconds',
    help: 'how long the work on a key takes',
    labelNames,
    buckets: queueSeconds,
    registers,
  });
  const total = new Counter({
    name: 'controller_runtime_reconcile_total',
    help: 'reconciliations by result',
    labelNames: ['controller', 'result'] as const,
    registers,
  });
  const seconds = new Histogram({
    name: 'controller_runtime_reconcile_time_seconds',
    help: 'duration of a reconciliation',
    labelNames: ['controller'] as const,
    buckets: reconcileSeconds,
    registers,
  });

  return {
    queue(name) {
      const label = { name };
      return {
        depth: (keys) => depth.set(label, keys),
        added: () => adds.inc(label),
        taken: (waitedSeconds) => waited.observe(label, waitedSeconds),
        worked: (workSeconds) => worked.observe(label, workSeconds),
        retried: () => retries.inc(label),
      };
    },
    reconciled(controller, result, tookSeconds) {
      // A series that appears with its first error has no increase that an alert could see.
      for (const each of outcomes) total.inc({ controller, result: each }, each === result ? 1 : 0);
      seconds.observe({ controller }, tookSeconds);
    },
  };
}
