// What this system did to one ARM scope, kept in a ConfigMap so that no restart, new leader or lost node makes it forget what it must take away,
// or take away what it did not bring (design 7). An identity that was there before us has no entry and is never removed.
import { createHash } from 'node:crypto';
import { scopeRecordPrefix } from '../../api/names.ts';
import type { KubeClient } from '../../lib/kube/client.ts';
import { isConflict, isNotFound } from '../../lib/kube/errors.ts';
import { isRecord, metadataOf, stringAt } from '../../lib/kube/objects.ts';
import { configMaps, resourcePath } from '../../lib/kube/resources.ts';

/** `intent`: absent at our GET, about to be attached. `owned`: attached by us. `detaching`: about to be removed. */
export type EntryState = 'intent' | 'owned' | 'detaching';

export interface ScopeEntry {
  state: EntryState;
  /** RFC 3339. */
  since: string;
}

export interface ScopeRecord {
  /** Lower-case ARM id of the scale set or VM. */
  readonly scope: string;
  /** A person's brake: no writes to this scope. */
  readonly paused: boolean;
  /** URL of the operation under way, for a controller that takes over. */
  readonly operation: string | undefined;
  /** By lower-case ARM id of the identity. */
  readonly identities: ReadonlyMap<string, ScopeEntry>;
}

const scopeRecordLabels = {
  'app.kubernetes.io/managed-by': 'aad-pod-identity-controller',
  'app.kubernetes.io/component': 'scope-record',
};
export const scopeRecordSelector = Object.entries(scopeRecordLabels)
  .map(([key, value]) => `${key}=${value}`)
  .join(',');

export function scopeRecordName(scope: string): string {
  return scopeRecordPrefix + createHash('sha256').update(scope.toLowerCase()).digest('hex').slice(0, 16);
}

export function emptyRecord(scope: string): ScopeRecord {
  return { scope, paused: false, operation: undefined, identities: new Map() };
}

/** The record with some entries set (a state) or dropped (undefined). An entry that is already in that state keeps its date. */
export function withEntries(record: ScopeRecord, changes: Iterable<[id: string, state: EntryState | undefined]>, now: Date): ScopeRecord {
  const identities = new Map(record.identities);
  for (const [id, state] of changes) {
    if (state === undefined) identities.delete(id);
    else if (identities.get(id)?.state !== state) identities.set(id, { state, since: now.toISOString() });
  }
  return { ...record, identities };
}

/** The same for several identities and one state. */
export const withState = (record: ScopeRecord, ids: readonly string[], state: EntryState | undefined, now: Date): ScopeRecord =>
  withEntries(
    record,
    ids.map((id) => [id, state]),
    now,
  );

/** A person must mend the ConfigMap. */
export class RecordError extends Error {}

/** Throws for a record that cannot be understood: guessing at ownership would remove what is not ours. */
export function parseRecord(raw: unknown): ScopeRecord {
  const name = metadataOf(raw).name ?? '';
  const scope = stringAt(raw, 'data', 'scope');
  if (scope === undefined) throw new RecordError(`ConfigMap ${name} has no data.scope, the resource id it is about`);
  const identities = new Map<string, ScopeEntry>();
  let parsed: unknown;
  try {
    parsed = JSON.parse(stringAt(raw, 'data', 'identities') ?? '{}');
  } catch {
    throw new RecordError(`ConfigMap ${name}: data.identities is not JSON`);
  }
  if (!isRecord(parsed)) throw new RecordError(`ConfigMap ${name}: data.identities is not a JSON object`);
  for (const [id, entry] of Object.entries(parsed)) {
    const state = isRecord(entry) ? entry.state : undefined;
    if (!isRecord(entry) || (state !== 'intent' && state !== 'owned' && state !== 'detaching'))
      throw new RecordError(`ConfigMap ${name}: data.identities["${id}"].state is not intent, owned or detaching`);
    identities.set(id.toLowerCase(), { state, since: typeof entry.since === 'string' ? entry.since : '' });
  }
  const operation = stringAt(raw, 'data', 'operation');
  return {
    scope: scope.toLowerCase(),
    paused: stringAt(raw, 'data', 'paused') === 'true',
    operation: operation === '' ? undefined : operation,
    identities,
  };
}

/** A record and the version it was read at; undefined where none is stored yet. */
export interface StoredRecord {
  record: ScopeRecord;
  resourceVersion: string | undefined;
}

export interface ScopeRecords {
  load(scope: string): Promise<StoredRecord>;
  /** Throws a conflict where the stored one changed since it was loaded. */
  save(stored: StoredRecord, record: ScopeRecord): Promise<StoredRecord>;
  /** Throws as `save` does. */
  remove(stored: StoredRecord): Promise<void>;
}

/** A person may have edited the record meanwhile (`paused`): the change is made to what stands there now. */
export async function changeRecord(
  records: ScopeRecords,
  stored: StoredRecord,
  by: (record: ScopeRecord) => ScopeRecord,
): Promise<StoredRecord> {
  try {
    return await records.save(stored, by(stored.record));
  } catch (error) {
    if (!isConflict(error) && !isNotFound(error)) throw error;
    const current = await records.load(stored.record.scope);
    return records.save(current, by(current.record));
  }
}

export function storeScopeRecords(client: KubeClient, namespace: string): ScopeRecords {
  return {
    async load(scope) {
      try {
        const raw = await client.call('GET', resourcePath(configMaps, { namespace, name: scopeRecordName(scope) }));
        return { record: parseRecord(raw), resourceVersion: metadataOf(raw).resourceVersion };
      } catch (error) {
        if (isNotFound(error)) return { record: emptyRecord(scope), resourceVersion: undefined };
        throw error;
      }
    },
    async save(stored, record) {
      const name = scopeRecordName(record.scope);
      const body = {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: {
          name,
          namespace,
          labels: scopeRecordLabels,
          ...(stored.resourceVersion === undefined ? {} : { resourceVersion: stored.resourceVersion }),
        },
        data: {
          scope: record.scope,
          identities: JSON.stringify(Object.fromEntries(record.identities), undefined, 1),
          ...(record.operation === undefined ? {} : { operation: record.operation }),
          ...(record.paused ? { paused: 'true' } : {}),
        },
      };
      const raw =
        stored.resourceVersion === undefined
          ? await client.call('POST', resourcePath(configMaps, { namespace }), { body })
          : await client.call('PUT', resourcePath(configMaps, { namespace, name }), { body });
      return { record, resourceVersion: metadataOf(raw).resourceVersion };
    },
    async remove({ record, resourceVersion }) {
      if (resourceVersion === undefined) return;
      const body = { apiVersion: 'v1', kind: 'DeleteOptions', preconditions: { resourceVersion } };
      await client.call('DELETE', resourcePath(configMaps, { namespace, name: scopeRecordName(record.scope) }), { body });
    },
  };
}
