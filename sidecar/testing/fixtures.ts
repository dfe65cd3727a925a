// Rows and responses of the broker, and a log that is kept, for unit tests.
import type { IdentitiesResponse, IdentityRow } from '../../api/broker.ts';
import type { Log } from '../log.ts';

export function row(name: string, changes: Partial<IdentityRow> = {}): IdentityRow {
  return {
    name,
    namespace: 'team',
    binding: `team/${name}-binding`,
    type: 0,
    source: (changes.type ?? 0) === 0 ? 'imds' : 'broker',
    clientID: `client-of-${name}`,
    resourceID: `/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/${name}`,
    objectID: `object-of-${name}`,
    state: 'Assigned',
    assignedAt: '2025-12-01T00:00:00Z',
    ...changes,
  };
}

export function identities(rows: IdentityRow[], changes: Partial<IdentitiesResponse> = {}): IdentitiesResponse {
  return {
    pod: { name: 'app', namespace: 'team', uid: 'uid-1' },
    excepted: false,
    asOf: '1',
    caBundle: 'ca',
    identities: rows,
    ...changes,
  };
}

export function json(body: unknown, status = 200, headers: Record<string, string> = {}): Response {
  return new Response(JSON.stringify(body), { status, headers: { 'content-type': 'application/json', server: 'IMDS/150', ...headers } });
}

/** Never resolves; rejects when its request is aborted, as a fetch without a response does. */
export function hang({ signal }: { signal: AbortSignal }): Promise<Response> {
  return new Promise((_resolve, reject) => {
    const abort = () => reject(signal.reason ?? new Error('aborted'));
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
  });
}

export function createTestLog(): { log: Log; lines: string[] } {
  const lines: string[] = [];
  const at = (level: string) => (message: string, fields?: object) => {
    lines.push(`${level} ${message} ${JSON.stringify(fields ?? {})}`);
  };
  return { log: { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }, lines };
}
