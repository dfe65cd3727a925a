// Runs the reconciler of federated identities: one key for each managed identity that pods need so, or that a record remembers.
import { brokerServiceName } from '../../api/names.ts';
import type { RunnerOptions } from '../../lib/controller/runner.ts';
import { startRunner } from '../../lib/controller/runner.ts';
import type { ListedRecord } from '../../lib/identities/federation/records.ts';
import type { KubeClient } from '../../lib/kube/client.ts';
import type { Informer } from '../../lib/kube/informer.ts';
import type { FederationOptions } from './context.ts';
import { createFederationReconciler } from './reconciler.ts';
import { createRecordStore } from './record-store.ts';

export interface Federation {
  /** What pods need of the identity has changed, or one of their objects has. */
  enqueue(identityId: string): void;
  /** Compares the identity with Azure soon: Entra refused the broker's token. */
  refresh(identityId: string): void;
  /**
   * Enqueues every recorded identity, now and when somebody changes its record: no pod needs to be there for it. What pods need must be known, or an
   * identity in use would look unused.
   */
  followRecords(): void;
  stop(): Promise<void>;
}

export interface FederationControllerOptions extends Omit<FederationOptions, 'store'>, Pick<RunnerOptions, 'metrics'> {
  client: KubeClient;
  /** Of the records. */
  namespace: string;
  records: Informer<ListedRecord>;
}

/** Identities that are reconciled at the same time. Each waits for Azure and for Entra. */
const concurrency = 50;
/** Pods of one rollout come within milliseconds. */
const debounce = { quietMs: 50, maxMs: 200 };

export function startFederation(options: FederationControllerOptions): Federation {
  const { client, namespace, records, log, clock, metrics, events } = options;
  const store = createRecordStore({ client, namespace, informer: records });
  const reconciler = createFederationReconciler({ ...options, store, onTurn: (identityId) => runner.enqueueAfter(identityId, 0) });
  const runner = startRunner({ name: 'federation', reconcile: reconciler.reconcile, concurrency, debounce, log, clock, metrics });

  let unfollow = () => {};

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
    followRecords() {
      unfollow = records.onChange(({ before, after }) => {
        const identity = (after ?? before)?.identity;
        if (identity !== undefined) runner.enqueue(identity);
      });
      for (const { identity } of records.values()) runner.enqueue(identity);
    },
    async stop() {
      unfollow();
      reconciler.stop();
      await runner.stop();
    },
  };
}
