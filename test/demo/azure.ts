// The Azure of the demo and of the e2e tests: one Uniform scale set that carries the cluster's only node, two identities for pods, and the
// application as which the controller signs in.

const subscription = '00000000-0000-4000-8000-000000000001';
const userAssigned = (name: string) =>
  `/subscriptions/${subscription}/resourceGroups/identities/providers/Microsoft.ManagedIdentity/userAssignedIdentities/${name}`;

export const scaleSetId = `/subscriptions/${subscription}/resourceGroups/nodes/providers/Microsoft.Compute/virtualMachineScaleSets/pool1`;
export const providerID = `azure://${scaleSetId}/virtualMachines/0`;

export const identities = {
  demo: { id: userAssigned('demo'), clientId: 'aaaaaaaa-0000-4000-8000-000000000001' },
  second: { id: userAssigned('second'), clientId: 'aaaaaaaa-0000-4000-8000-000000000002' },
} as const;

export const controllerSignIn = {
  tenantID: '11111111-1111-4111-8111-111111111111',
  clientID: 'cccccccc-0000-4000-8000-000000000001',
  clientSecret: 'emulator-secret',
} as const;

/** State document of the emulator; `operationMs` is how long Azure takes for a change of the scale set. */
export function azureState(operationMs: number): unknown {
  return {
    tenant: controllerSignIn.tenantID,
    subscription,
    resourceGroup: 'nodes',
    imds: { vm: 'pool1/0' },
    // The kubelet's own identity is on the set, as on every AKS node. It must stay.
    scaleSets: [{ name: 'pool1', orchestration: 'Uniform', instances: 1, identity: { type: 'UserAssigned', ids: ['kubelet'] } }],
    identities: [{ name: 'kubelet' }, identities.demo, identities.second],
    apps: [{ clientId: controllerSignIn.clientID, secrets: [controllerSignIn.clientSecret] }],
    settings: { arm: { operationMs } },
  };
}
