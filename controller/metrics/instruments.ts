// Every metric that the controller observes while it works. Where aad-pod-identity measures the same thing, the name is its own, so that dashboards
// of its users keep working (docs/reference/aad-pod-identity.md). Gauges that are read at a scrape are in gauges.ts.
import type { Registry } from 'prom-client';
import { Counter, Gauge, Histogram } from 'prom-client';
import { metricPrefix } from '../../api/names.ts';
import type { ControllerMetrics } from '../../lib/controller/metrics.ts';
import { createControllerMetrics } from '../../lib/controller/metrics.ts';
import type { ScopeCounts } from '../scopes/reconciler.ts';

/** The buckets of aad-pod-identity in seconds: for the API server, and for Azure. */
const short = [0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 2, 3, 4, 5, 10];
const long = [0.5, 1, 5, 10, 30, 60, 120, 300, 600, 900, 1200];

interface Operation {
  seconds: Histogram;
  count: Counter;
}

export interface Instruments {
  /** Work queues and reconcilers. */
  controllers: ControllerMetrics;
  /** Writes of AzureAssignedIdentity objects that succeeded. */
  addition: Operation;
  deletion: Operation;
  update: Operation;
  /** A reconciliation of a scale set or VM that called Azure. */
  cycle: Operation;
  leaderElections: Counter;
  /** Of each guarded namespace, as the leader counted them last. */
  unguardedPods: Gauge<'namespace'>;
  /** Has the gauges about scopes read these counts. The returned function ends that: a replica that does not lead has no scopes. */
  observeScopes(count: () => ScopeCounts): () => void;
  azureSeconds: Histogram<'operation_type'>;
  azureErrors: Counter<'operation_type'>;
  kubernetesErrors: Counter<'operation_type'>;
}

export function createInstruments(registry: Registry): Instruments {
  const registers = [registry];
  const counter = (name: string, help: string) => new Counter({ name: `${metricPrefix}${name}`, help, registers });
  const typed = (name: string, help: string) =>
    new Counter({ name: `${metricPrefix}${name}`, help, labelNames: ['operation_type'] as const, registers });
  const typedSeconds = (name: string, help: string, buckets: number[]) =>
    new Histogram({ name: `${metricPrefix}${name}`, help, labelNames: ['operation_type'] as const, buckets, registers });
  const operation = (name: string, what: string, buckets: number[]): Operation => ({
    seconds: new Histogram({ name: `${metricPrefix}${name}_duration_seconds`, help: `duration of ${what}`, buckets, registers }),
    count: counter(`${name}_count`, `number of ${what}`),
  });

  return {
    controllers: createControllerMetrics(registry),
    addition: operation('assigned_identity_addition', 'creations of an AzureAssignedIdentity', short),
    deletion: operation('assigned_identity_deletion', 'deletions of an AzureAssignedIdentity', short),
    update: operation('assigned_identity_update', 'updates of an AzureAssignedIdentity', short),
    cycle: operation('mic_cycle', 'reconciliations of a scale set or VM that called Azure', long),
    leaderElections: counter('mic_new_leader_election_count', 'how often this replica began to lead'),
    unguardedPods: new Gauge({
      name: `${metricPrefix}unguarded_pods`,
      help: 'pods of a guarded namespace that have neither a guard nor a token proxy and reach IMDS',
      labelNames: ['namespace'] as const,
      registers,
    }),
    observeScopes: createScopeGauges(registry),
    azureSeconds: typedSeconds('cloud_provider_operations_duration_seconds', 'duration of calls to Azure that succeeded', long),
    azureErrors: typed('cloud_provider_operations_errors_count', 'calls to Azure that failed, also for a closed throttle gate'),
    kubernetesErrors: typed('kubernetes_api_operations_errors_count', 'calls to the API server that failed'),
  };
}

function createScopeGauges(registry: Registry): Instruments['observeScopes'] {
  let counts: (() => ScopeCounts) | undefined;
  const gauge = (name: string, help: string, read: (counts: ScopeCounts) => number) =>
    new Gauge({
      name: `${metricPrefix}${name}`,
      help,
      registers: [registry],
      collect() {
        this.reset();
        if (counts === undefined) this.remove();
        else this.set(read(counts()));
      },
    });
  gauge('paused_scopes', 'scale sets and VMs whose writes a person paused; only where this replica leads', ({ paused }) => paused);
  gauge(
    'quarantined_identities',
    'identities that are kept out of writes after Azure refused them, each counted for each scope; only where this replica leads',
    ({ quarantined }) => quarantined,
  );
  return (count) => {
    counts = count;
    return () => {
      counts = undefined;
    };
  };
}

/** Calls `succeeded` with the duration of the work, or `failed` with its error, and passes result and error on. */
export async function measured<T>(
  work: () => Promise<T>,
  succeeded: (seconds: number) => void,
  failed: (error: unknown) => void,
): Promise<T> {
  const began = performance.now();
  try {
    const result = await work();
    succeeded((performance.now() - began) / 1000);
    return result;
  } catch (error) {
    failed(error);
    throw error;
  }
}
