// The Azure that histories run on.
import type { Emulator } from '../../../azure/emulator.ts';
import { group, idOf, smallAzure } from '../../azure/fixtures.ts';
import type { BadName, ScopeName } from './history.ts';
import { azureNames } from './history.ts';
import { scopeOfNode } from './model.ts';

export const scopeIds: Record<ScopeName, string> = {
  'set-a': `${group}/Microsoft.Compute/virtualMachineScaleSets/set-a`,
  'set-b': `${group}/Microsoft.Compute/virtualMachineScaleSets/set-b`,
  machine: `${group}/Microsoft.Compute/virtualMachines/machine`,
  'flex-vm': `${group}/Microsoft.Compute/virtualMachines/flex-vm`,
};

const withForeign = { identity: { type: 'UserAssigned', ids: ['foreign'] } };

export const modelAzure = smallAzure({
  imds: { vm: 'set-a/0' },
  scaleSets: [
    ...['set-a', 'set-b'].map((name) => ({ name, instances: 2, ...withForeign })),
    { name: 'flex', orchestration: 'Flexible', identity: { type: 'None' } },
  ],
  virtualMachines: [
    { name: 'machine', identity: { type: 'SystemAssigned, UserAssigned', ids: ['foreign'] } },
    { name: 'flex-vm', scaleSet: 'flex', ...withForeign },
  ],
  identities: [...azureNames, 'hidden', 'lost', 'late'].map((name) => ({ name })),
  settings: { limits: { imds: false, arm: false }, arm: { operationMs: { min: 10, max: 100 } } },
});

/** Azure refuses these identities as long as no faults are removed. */
export function refuseBadNames(emulator: Emulator): void {
  const add = (name: BadName, fault: Record<string, unknown>) => emulator.addFault({ ...fault, identity: idOf(name), count: null });
  const answer = (status: number, code: string, message: string) => {
    return { fault: 'answer', service: 'arm', method: 'PATCH', status, body: { error: { code, message } } };
  };
  const bad = { code: 'FailedIdentityOperation', message: "Identity operation failed with error 'Status: BadRequest.'" };
  add('hidden', answer(400, bad.code, bad.message));
  add('lost', answer(404, 'ResourceNotFound', "The Resource 'Microsoft.ManagedIdentity/userAssignedIdentities/lost' was not found."));
  add('late', { fault: 'operation', ms: 80, end: 'Failed', ...bad });
}

/** The type that whoever writes to the scope has to send. */
export const typeOf = (scope: ScopeName): string => (scope === 'machine' ? 'SystemAssigned, UserAssigned' : 'UserAssigned');

/** The nodes of one set spell it in different ways, as kubelets do. */
export function providerIdOf(node: string): string {
  const scope = scopeOfNode(node);
  const id = scope.startsWith('set-') ? `${scopeIds[scope]}/virtualMachines/${node.slice(-1)}` : scopeIds[scope];
  return `azure://${node.endsWith('1') ? id.replace('Nodes', 'nodes').replace('Microsoft.Compute', 'microsoft.compute') : id}`;
}
