// What the unit tests share: rows of the broker and a log that is kept.
import type { IdentitiesAnswer, IdentityRow } from '../api/broker.ts';
import type { Log } from './log.ts';

export function row(name: string, changes: Partial<IdentityRow> = {}): IdentityRow {
  return {
    name,
    namespace: 'team',
    binding: `team/${name}-binding`,
    type: 0,
    clientID: `client-of-${name}`,
    resourceID: `/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/${name}`,
    objectID: `object-of-${name}`,
    state: 'Assigned',
    assignedAt: '2025-12-01T00:00:00Z',
    ...changes,
  };
}

export function identities(rows: IdentityRow[], changes: Partial<IdentitiesAnswer> = {}): IdentitiesAnswer {
  return {
    pod: { name: 'app', namespace: 'team', uid: 'uid-1' },
    excepted: false,
    asOf: '1',
    caBundle: 'ca',
    identities: rows,
    ...changes,
  };
}

export function createTestLog(): { log: Log; lines: string[] } {
  const lines: string[] = [];
  const at = (level: string) => (message: string, fields?: object) => {
    lines.push(`${level} ${message} ${JSON.stringify(fields ?? {})}`);
  };
  return { log: { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }, lines };
}
