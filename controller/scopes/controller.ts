// Runs the reconciler of scopes: one key for each scale set or virtual machine that pods need or that a record remembers. A throttled scope never holds
// up another one.
import type { ScopeStatus } from '../../api/installation-status.ts';
import { scopeOfId } from '../../lib/azure/resource-ids.ts';
import type { RunnerOptions } from '../../lib/controller/runner.ts';
import { startRunner } from '../../lib/controller/runner.ts';
import type { KubeClient } from '../../lib/kube/client.ts';
import type { ScopeOptions } from './context.ts';
import { createOwnershipStore, listRecords } from './ownership-store.ts';
import type { ScopeCounts } from './reconciler.ts';
import { createScopeReconciler } from './reconciler.ts';

export interface Scopes {
  /** What the scope's pods need has changed, or one of their objects has. */
  enqueue(scopeId: string): void;
  /** Compares the scope with Azure soon: a sidecar reported that IMDS disagrees. */
  refresh(scopeId: string): void;
  /** Enqueues every recorded scope, also those whose last pod or node went while nobody led. Throws as a call to the API server does. */
  enqueueRecorded(): Promise<void>;
  count(): ScopeCounts;
  describe(): ScopeStatus[];
  stop(): Promise<void>;
}

export interface ScopesOptions extends Omit<ScopeOptions, 'store' | 'enqueueStatus'>, Pick<RunnerOptions, 'metrics'> {
  client: KubeClient;
  /** Of the ownership records. */
  namespace: string;
  /** Changes that come together share one write. */
  debounce: { quietMs: number; maxMs: number };
}

export function startScopes(options: ScopesOptions): Scopes {
  const { client, namespace, log, clock, metrics, debounce } = options;
  const shared = { log, clock, metrics, debounce, concurrency: Number.POSITIVE_INFINITY };
  const reconciler = createScopeReconciler({
    ...options,
    store: createOwnershipStore(client, namespace),
    enqueueStatus: (scopeId) => statuses.enqueue(scopeId),
  });
  const scopes = startRunner({ ...shared, name: 'scopes', reconcile: reconciler.reconcile });
  const statuses = startRunner({ ...shared, name: 'scope-status', reconcile: reconciler.reconcileStatus });

  return {
    enqueue(scopeId) {
      scopes.enqueue(scopeId);
      if (reconciler.isWriting(scopeId)) statuses.enqueue(scopeId);
    },
    refresh(scopeId) {
      reconciler.refresh(scopeId);
      scopes.enqueue(scopeId);
    },
    count: reconciler.count,
    describe: reconciler.describe,
    async enqueueRecorded() {
      for (const { name, scope: id } of await listRecords(client, namespace)) {
        const scope = scopeOfId(id);
        if (scope === undefined) log.error({ record: name, scope: id }, 'scope record without the id of a scale set or VM is ignored');
        else scopes.enqueue(scope.id);
      }
    },
    async stop() {
      await Promise.all([scopes.stop(), statuses.stop()]);
    },
  };
}
