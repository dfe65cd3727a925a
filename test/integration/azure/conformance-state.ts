// The Azure that real clients are tried against: principal ids are known beforehand, request limits are off.
import { clientIds, idOf, smallAzure } from './support.ts';

export const identityIds = {
  reader: { id: idOf('reader'), clientId: clientIds.reader, principalId: 'bbbbbbbb-0000-4000-8000-000000000001' },
  writer: { id: idOf('writer'), clientId: clientIds.writer, principalId: 'bbbbbbbb-0000-4000-8000-000000000002' },
};

export const conformanceState = (changes: Record<string, unknown> = {}): Record<string, unknown> =>
  smallAzure({ identities: Object.values(identityIds), settings: { limits: { imds: false, arm: false } }, ...changes });
