// A small Azure: its names, and the state document of an emulator that has it.
export const tenant = '11111111-1111-4111-8111-111111111111';
export const subscription = '00000000-0000-4000-8000-000000000001';
export const group = '/subscriptions/00000000-0000-4000-8000-000000000001/resourceGroups/Nodes/providers';
export const pool1 = `${group}/Microsoft.Compute/virtualMachineScaleSets/Pool1`;
export const flex1 = `${group}/Microsoft.Compute/virtualMachineScaleSets/flex1`;
export const flexVm = `${group}/Microsoft.Compute/virtualMachines/flex1-a`;
export const alone = `${group}/Microsoft.Compute/virtualMachines/alone`;
export const idOf = (name: string): string => `${group}/Microsoft.ManagedIdentity/userAssignedIdentities/${name}`;
export const clientIds = {
  reader: 'aaaaaaaa-0000-4000-8000-000000000001',
  writer: 'aaaaaaaa-0000-4000-8000-000000000002',
  third: 'aaaaaaaa-0000-4000-8000-000000000003',
};
export const app = { clientId: 'cccccccc-0000-4000-8000-000000000001', secret: 'emulator-secret' };
export const armAudience = 'https://management.azure.com';

/** Uniform Pool1 (two instances, reader attached), Flexible flex1 with flex1-a, the VM alone (system-assigned), operations of 3 s. */
export function smallAzure(changes: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    tenant,
    tenants: [{ id: tenant, domains: ['contoso.example'] }],
    subscription,
    resourceGroup: 'Nodes',
    imds: { vm: 'Pool1/0' },
    scaleSets: [
      { name: 'Pool1', instances: 2, identity: { type: 'UserAssigned', ids: ['reader'] } },
      { name: 'flex1', orchestration: 'Flexible' },
    ],
    virtualMachines: [
      { name: 'flex1-a', scaleSet: 'flex1' },
      { name: 'alone', identity: { type: 'SystemAssigned' } },
    ],
    identities: Object.entries(clientIds).map(([name, clientId]) => ({ name, clientId })),
    apps: [{ clientId: app.clientId, secrets: [app.secret] }],
    ...changes,
  };
}

/** Identities whose principal ids are known beforehand. */
export const identityIds = {
  reader: { id: idOf('reader'), clientId: clientIds.reader, principalId: 'bbbbbbbb-0000-4000-8000-000000000001' },
  writer: { id: idOf('writer'), clientId: clientIds.writer, principalId: 'bbbbbbbb-0000-4000-8000-000000000002' },
};

/** The Azure that real clients run against: its request limits are off. */
export const conformanceState = (changes: Record<string, unknown> = {}): Record<string, unknown> =>
  smallAzure({ identities: Object.values(identityIds), settings: { limits: { imds: false, arm: false } }, ...changes });
