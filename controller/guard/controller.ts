// Tells what the guard does not cover (docs/guard.md). Runs on the leader where the chart switches the guard on.
//
//   namespaces   which are guarded, and what keeps the guard of one from working   namespace.ts
//   pods         which of a guarded namespace reach IMDS all the same              coverage.ts
//   result       Events on the namespaces, and a gauge                             reconciler.ts
import type { ControllerMetrics } from '../../lib/controller/metrics.ts';
import { startRunner } from '../../lib/controller/runner.ts';
import type { GuardOptions } from './reconciler.ts';
import { reconcileGuard } from './reconciler.ts';

export interface GuardController {
  stop(): Promise<void>;
}

/** Other pods than those of this system are not watched, so they are listed at this interval. */
const intervalMs = 5 * 60_000;
/** The only key: one reconciliation covers all namespaces. */
const guard = 'guard';

/** Starts at once. The exceptions must have synced. */
export function startGuardController(options: GuardOptions & { metrics: ControllerMetrics }): GuardController {
  const runner = startRunner({
    name: guard,
    concurrency: 1,
    async reconcile(_key, { signal }) {
      await reconcileGuard(options, signal);
      return { requeueAfterMs: intervalMs };
    },
    backoffMs: [1_000, intervalMs],
    log: options.log,
    metrics: options.metrics,
  });
  runner.enqueue(guard);
  return {
    async stop() {
      await runner.stop();
      // The next leader counts.
      options.setUnguarded(new Map());
    },
  };
}
