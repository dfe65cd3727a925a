import type { Scope } from '../../lib/azure/resource-ids.ts';
import type { Compute } from '../azure/arm/compute.ts';
import type { Measures } from './instruments.ts';
import { measured } from './instruments.ts';

/** Counts calls to Azure under upstream's types: `vmss_get`, `vmss_update`, `vm_get`, `vm_update`. A write lasts until its operation ended. */
export function measureCompute(compute: Compute, { azureSeconds, azureErrors }: Measures): Compute {
  const count = <T>(scope: Scope, verb: 'get' | 'update', signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> => {
    const type = { operation_type: `${scope.kind === 'scaleSet' ? 'vmss' : 'vm'}_${verb}` };
    return measured(
      work,
      (seconds) => azureSeconds.observe(type, seconds),
      () => {
        // Not a failure of Azure's: the leader stops.
        if (signal?.aborted !== true) azureErrors.inc(type);
      },
    );
  };
  return {
    read: (scope, signal) => count(scope, 'get', signal, () => compute.read(scope, signal)),
    write: (scope, write, seen, options) => count(scope, 'update', options?.signal, () => compute.write(scope, write, seen, options)),
    resume: (scope, operationUrl, signal) => compute.resume(scope, operationUrl, signal),
  };
}
