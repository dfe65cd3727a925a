// One VM with the emulator's IMDS, and the rows that a broker would return for its identities.
import type { IdentityRow } from '../../../api/broker.ts';
import type { Emulator } from '../../azure/emulator.ts';
import { startEmulator } from '../../azure/emulator.ts';

const group = '/subscriptions/00000000-0000-4000-8000-000000000001/resourceGroups/nodes/providers';
export const clientIds = {
  reader: 'aaaaaaaa-0000-4000-8000-000000000001',
  writer: 'aaaaaaaa-0000-4000-8000-000000000002',
  third: 'aaaaaaaa-0000-4000-8000-000000000003',
} as const;
export type IdentityName = keyof typeof clientIds;

export const resourceIdOf = (name: IdentityName): string => `${group}/Microsoft.ManagedIdentity/userAssignedIdentities/${name}`;

const scaleSets = (attached: readonly IdentityName[]) => [
  { name: 'pool1', instances: 1, ...(attached.length === 0 ? {} : { identity: { type: 'UserAssigned', ids: [...attached] } }) },
];

export function startAzure(attached: readonly IdentityName[], settings: Record<string, unknown> = {}): Promise<Emulator> {
  const state = {
    tenant: '11111111-1111-4111-8111-111111111111',
    subscription: '00000000-0000-4000-8000-000000000001',
    resourceGroup: 'nodes',
    imds: { vm: 'pool1/0' },
    scaleSets: scaleSets(attached),
    identities: Object.entries(clientIds).map(([name, clientId]) => ({ name, clientId })),
    settings,
  };
  return startEmulator({ state, listen: { imds: { host: '127.0.0.1', port: 0 } }, paths: 'strict', seed: 1 });
}

export function attach(emulator: Emulator, attached: readonly IdentityName[]): void {
  emulator.patchState({ scaleSets: scaleSets(attached) });
}

export function rowOf(name: IdentityName, changes: Partial<IdentityRow> = {}): IdentityRow {
  return {
    name,
    namespace: 'team',
    binding: `team/${name}-binding`,
    type: 0,
    source: 'imds',
    clientID: clientIds[name],
    resourceID: resourceIdOf(name),
    state: 'Assigned',
    assignedAt: '2026-01-01T00:00:00Z',
    ...changes,
  };
}
