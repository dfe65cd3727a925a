import type { Scope } from '../../lib/azure/resource-ids.ts';
import type { Compute } from '../azure/arm/compute.ts';
import type { Instruments } from './instruments.ts';
import { measured } from './instruments.ts';

/** Counts calls to Azure under the types of aad-pod-identity: `vmss_get`, `vmss_update`, `vm_get`, `vm_update`. A write lasts until its operation ended. */
export function instrumentCompute(compute: Compute, { azureSeconds, azureErrors }: Instruments): Compute {
  const count = <T>(scope: Scope, verb: 'get' | 'update', signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> => {
    const type = { operation_type: `${scope.kind === 'scaleSet' ? 'vmss' : 'vm'}_${verb}` };
    return measured(
      work,
      (seconds) => azureSeconds.observe(type, seconds),
      () => {
        // An aborted call is the leader that stops, not a failure of Azure.
        if (signal?.aborted !== true) azureErrors.inc(type);
      },
    );
  };
  return {
    read: (scope, signal) => count(scope, 'get', signal, () => compute.read(scope, signal)),
    write: (scope, write, seen, options) => count(scope, 'update', options?.signal, () => compute.write(scope, write, seen, options)),
    resume: (scope, operationUrl, options) => compute.resume(scope, operationUrl, options),
  };
}
