// Runs the reconciler of federated identities: one key for each managed identity that pods need so, or that a record remembers.
import { brokerServiceName } from '../../api/names.ts';
import { identityIdOf } from '../../lib/azure/resource-ids.ts';
import type { RunnerOptions } from '../../lib/controller/runner.ts';
import { startRunner } from '../../lib/controller/runner.ts';
import type { KubeClient } from '../../lib/kube/client.ts';
import type { FederationOptions } from './context.ts';
import { createFederationReconciler } from './reconciler.ts';
import { createRecordStore } from './record-store.ts';

export interface Federation {
  /** What pods need of the identity has changed, or one of their objects has. */
  enqueue(identityId: string): void;
  /** Compares the identity with Azure soon: Entra refused the broker's token. */
  refresh(identityId: string): void;
  /** Enqueues every recorded identity, also those whose last pod went while nobody led. Throws as a call to the API server does. */
  enqueueRecorded(): Promise<void>;
  stop(): Promise<void>;
}

export interface FederationControllerOptions extends Omit<FederationOptions, 'store'>, Pick<RunnerOptions, 'metrics'> {
  client: KubeClient;
  /** Of the records. */
  namespace: string;
}

/** Identities that are reconciled at the same time. Each waits for Azure and for Entra. */
const concurrency = 50;
/** Pods of one rollout come within milliseconds. */
const debounce = { quietMs: 50, maxMs: 200 };

export function startFederation(options: FederationControllerOptions): Federation {
  const { client, namespace, log, clock, metrics, events } = options;
  const store = createRecordStore(client, namespace);
  const reconciler = createFederationReconciler({ ...options, store, onTurn: (identityId) => runner.enqueueAfter(identityId, 0) });
  const runner = startRunner({ name: 'federation', reconcile: reconciler.reconcile, concurrency, debounce, log, clock, metrics });

  function warnAboutNamespace(): void {
    if (namespace !== 'default') return;
    const message =
      'identities are federated for the service account of the broker, and this release is in namespace default: whoever may create pods there can use ' +
      'that service account and so have every federated identity. Install the release into a namespace of its own';
    events.record({ apiVersion: 'v1', kind: 'Service', namespace, name: brokerServiceName }, 'Warning', 'FederationFromDefault', message);
  }

  return {
    enqueue(identityId) {
      warnAboutNamespace();
      runner.enqueue(identityId);
    },
    refresh(identityId) {
      reconciler.refresh(identityId);
      runner.enqueue(identityId);
    },
    async enqueueRecorded() {
      for (const { name, identity } of await store.list()) {
        const id = identityIdOf(identity);
        if (id === undefined) log.error({ record: name, identity }, 'federation record without the id of an identity is ignored');
        else runner.enqueue(id);
      }
    },
    async stop() {
      reconciler.stop();
      await runner.stop();
    },
  };
}
