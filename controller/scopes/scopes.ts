// One worker for each ARM scope that pods need or that a record remembers; a throttled scope never holds up another one.

import type { Scope } from '../../lib/azure/resource-ids.ts';
import { scopeOfId } from '../../lib/azure/resource-ids.ts';
import type { KubeClient } from '../../lib/kube/client.ts';
import { at, stringAt } from '../../lib/kube/objects.ts';
import { configMaps, resourcePath } from '../../lib/kube/resources.ts';
import type { Logger } from '../../lib/log.ts';
import type { Demand } from '../assignments/desired-state.ts';
import { scopeRecordSelector } from './ownership.ts';
import type { ScopeWorker, ScopeWorkerOptions } from './scope-worker.ts';
import { runScopeWorker } from './scope-worker.ts';

export interface Scopes {
  wake(scopeId: string): void;
  /** Compares the scope with Azure now. */
  lookAgain(scopeId: string): void;
  /** Starts a worker for every recorded scope, also those whose last pod or node went while nobody led. */
  resumeRecorded(): Promise<void>;
  stop(): Promise<void>;
}

type SharedWorkerOptions = Omit<ScopeWorkerOptions, 'scope' | 'needs' | 'onIdle'>;

export function runScopes(options: {
  demand: Demand;
  client: KubeClient;
  namespace: string;
  worker: SharedWorkerOptions;
  log: Logger;
}): Scopes {
  const workers = new Map<string, ScopeWorker>();
  let stopped = false;

  function start(scope: Scope): ScopeWorker {
    const running = workers.get(scope.id);
    if (running !== undefined) return running;
    const worker = runScopeWorker({
      ...options.worker,
      scope,
      needs: () => options.demand.needsOf(scope.id),
      onIdle: () => workers.delete(scope.id),
    });
    workers.set(scope.id, worker);
    return worker;
  }

  return {
    wake(scopeId) {
      if (stopped) return;
      const scope = options.demand.scopeOf(scopeId);
      if (scope !== undefined) start(scope).wake();
      else workers.get(scopeId)?.wake();
    },
    lookAgain: (scopeId) => workers.get(scopeId)?.lookAgain(),
    async resumeRecorded() {
      const path = resourcePath(configMaps, { namespace: options.namespace });
      const list = await options.client.call('GET', path, { query: { labelSelector: scopeRecordSelector } });
      const items = at(list, 'items');
      for (const item of Array.isArray(items) ? (items as unknown[]) : []) {
        const id = stringAt(item, 'data', 'scope') ?? '';
        const scope = scopeOfId(id);
        if (scope === undefined)
          options.log.error(
            { record: stringAt(item, 'metadata', 'name'), scope: id },
            'scope record without a scale set or VM id is left alone',
          );
        else if (!stopped) start(scope).wake();
      }
    },
    async stop() {
      stopped = true;
      await Promise.all([...workers.values()].map((worker) => worker.stop()));
    },
  };
}
