import type { Reconcile } from './reconcile.ts';

/** Runs one reconciler over a work queue until it is stopped. */
export interface Runner {
  /** Reconciles the key after the debounce, or at once where there is none. */
  enqueue(key: string): void;
  /** Reconciles the key after `delayMs`; the earliest of several dates counts. */
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
  debounce?: { quietMs: number; maxMs: number };
}
