// What the controller counts while it works: upstream's names where the thing still exists, so that its users' dashboards go on
// (spec/aad-pod-identity.md 4).
import type { Registry } from 'prom-client';
import { Counter, Histogram } from 'prom-client';
import { metricPrefix } from '../../api/names.ts';

/** Upstream's buckets, seconds: for the API server and Entra, and for Azure. */
const short = [0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 2, 3, 4, 5, 10];
const long = [0.5, 1, 5, 10, 30, 60, 120, 300, 600, 900, 1200];

/** Of an operation that is counted by itself. */
interface Operation {
  seconds: Histogram;
  count: Counter;
}

export interface Measures {
  /** Writes of AzureAssignedIdentity objects that succeeded. */
  addition: Operation;
  deletion: Operation;
  update: Operation;
  /** A look at one scale set or VM together with what it led to. */
  cycle: Operation;
  leaderElections: Counter;
  azureSeconds: Histogram<'operation_type'>;
  azureErrors: Counter<'operation_type'>;
  kubernetesErrors: Counter<'operation_type'>;
  /** Tokens for service principals: upstream counts them here. */
  tokenSeconds: Histogram<'operation_type'>;
  tokenErrors: Counter<'operation_type'>;
}

export function createMeasures(registry: Registry): Measures {
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
    addition: operation('assigned_identity_addition', 'creations of an AzureAssignedIdentity', short),
    deletion: operation('assigned_identity_deletion', 'deletions of an AzureAssignedIdentity', short),
    update: operation('assigned_identity_update', 'updates of an AzureAssignedIdentity', short),
    cycle: operation('mic_cycle', 'passes over a scale set or VM that called Azure', long),
    leaderElections: counter('mic_new_leader_election_count', 'how often this replica began to lead'),
    azureSeconds: typedSeconds('cloud_provider_operations_duration_seconds', 'duration of calls to Azure that succeeded', long),
    azureErrors: typed('cloud_provider_operations_errors_count', 'calls to Azure that failed, also for a closed throttle gate'),
    kubernetesErrors: typed('kubernetes_api_operations_errors_count', 'calls to the API server that failed'),
    tokenSeconds: typedSeconds('imds_operations_duration_seconds', 'duration of token requests to Entra that succeeded', short),
    tokenErrors: typed('imds_operations_errors_count', 'token requests to Entra that failed'),
  };
}

/** Runs the work and counts it: a success with its duration, a failure where `failed` says. */
export async function measured<T>(work: () => Promise<T>, done: (seconds: number) => void, failed: (error: unknown) => void): Promise<T> {
  const began = performance.now();
  try {
    const result = await work();
    done((performance.now() - began) / 1000);
    return result;
  } catch (error) {
    failed(error);
    throw error;
  }
}

/** Counts token requests under upstream's type for service principals. */
export function measureTokens<A extends unknown[], R>(measures: Measures, mint: (...args: A) => Promise<R>): (...args: A) => Promise<R> {
  const type = { operation_type: 'adal_token' };
  return (...args) =>
    measured(
      () => mint(...args),
      (seconds) => measures.tokenSeconds.observe(type, seconds),
      () => measures.tokenErrors.inc(type),
    );
}
