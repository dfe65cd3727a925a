// Ownership records as ConfigMaps of the release namespace.
import type { KubeClient } from '../../lib/kube/client.ts';
import { mergePatch } from '../../lib/kube/client.ts';
import { isConflict, isNotFound } from '../../lib/kube/errors.ts';
import { at, metadataOf, stringAt } from '../../lib/kube/objects.ts';
import { configMaps, resourcePath } from '../../lib/kube/resources.ts';
import type { OwnershipRecord } from './ownership.ts';
import { emptyRecord, parseRecord, recordName } from './ownership.ts';

const labels = {
  'app.kubernetes.io/managed-by': 'aad-pod-identity-controller',
  'app.kubernetes.io/component': 'scope-record',
};
export const recordSelector = Object.entries(labels)
  .map(([key, value]) => `${key}=${value}`)
  .join(',');

/** A record and the version it was read at; undefined where none is stored yet. */
export interface StoredRecord {
  record: OwnershipRecord;
  resourceVersion: string | undefined;
}

/** Every function throws as a call to the API server does; `load` also `OwnershipRecordError`. */
export interface OwnershipStore {
  load(scope: string): Promise<StoredRecord>;
  /** Throws a conflict where the stored record changed since it was loaded. */
  save(stored: StoredRecord, record: OwnershipRecord): Promise<StoredRecord>;
  /** Throws as `save` does. */
  remove(stored: StoredRecord): Promise<void>;
}

/** Applies the change to what is stored now: a person may have edited the record (`paused`) since it was loaded. */
export async function changeRecord(
  store: OwnershipStore,
  stored: StoredRecord,
  change: (record: OwnershipRecord) => OwnershipRecord,
): Promise<StoredRecord> {
  try {
    return await store.save(stored, change(stored.record));
  } catch (error) {
    if (!isConflict(error) && !isNotFound(error)) throw error;
    const current = await store.load(stored.record.scope);
    return store.save(current, change(current.record));
  }
}

export function createOwnershipStore(client: KubeClient, namespace: string): OwnershipStore {
  return {
    async load(scope) {
      try {
        const raw = await client.call('GET', resourcePath(configMaps, { namespace, name: recordName(scope) }));
        return { record: parseRecord(raw), resourceVersion: metadataOf(raw).resourceVersion };
      } catch (error) {
        if (isNotFound(error)) return { record: emptyRecord(scope), resourceVersion: undefined };
        throw error;
      }
    },
    async save({ resourceVersion }, record) {
      const name = recordName(record.scope);
      const data = {
        scope: record.scope,
        identities: JSON.stringify(Object.fromEntries(record.identities), undefined, 1),
        operation: record.operation ?? null,
        paused: record.paused ? 'true' : null,
      };
      const raw =
        resourceVersion === undefined
          ? await client.call('POST', resourcePath(configMaps, { namespace }), {
              body: { ...typeMeta, metadata: { name, namespace, labels }, data: withoutNull(data) },
            })
          : // A patch: labels and annotations that a person added stay.
            await client.call('PATCH', resourcePath(configMaps, { namespace, name }), {
              contentType: mergePatch,
              body: { metadata: { resourceVersion }, data },
            });
      return { record, resourceVersion: metadataOf(raw).resourceVersion };
    },
    async remove({ record, resourceVersion }) {
      if (resourceVersion === undefined) return;
      const body = { apiVersion: 'v1', kind: 'DeleteOptions', preconditions: { resourceVersion } };
      await client.call('DELETE', resourcePath(configMaps, { namespace, name: recordName(record.scope) }), { body });
    },
  };
}

const typeMeta = { apiVersion: 'v1', kind: 'ConfigMap' };

const withoutNull = (data: Record<string, string | null>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(data).filter(([, value]) => value !== null));

/** The scope ids and names of all records, also of scopes that no pod needs any more. */
export async function listRecords(client: KubeClient, namespace: string): Promise<{ name: string; scope: string }[]> {
  const list = await client.call('GET', resourcePath(configMaps, { namespace }), { query: { labelSelector: recordSelector } });
  const items = at(list, 'items');
  return (Array.isArray(items) ? (items as unknown[]) : []).map((item) => ({
    name: stringAt(item, 'metadata', 'name') ?? '',
    scope: stringAt(item, 'data', 'scope') ?? '',
  }));
}
