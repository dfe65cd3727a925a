// Federation records as ConfigMaps of the release namespace.
import type { FederationRecord } from '../../lib/identities/federation/record.ts';
import {
  federationRecordLabels,
  federationRecordName,
  federationRecordSelector,
  formatFederationRecord,
  parseFederationRecord,
} from '../../lib/identities/federation/record.ts';
import type { KubeClient } from '../../lib/kube/client.ts';
import { mergePatch } from '../../lib/kube/client.ts';
import { isNotFound } from '../../lib/kube/errors.ts';
import { at, metadataOf, stringAt } from '../../lib/kube/objects.ts';
import { configMaps, resourcePath } from '../../lib/kube/resources.ts';

/** A record and the version it was read at; both undefined where none is stored. */
export interface StoredRecord {
  readonly record: FederationRecord | undefined;
  readonly resourceVersion: string | undefined;
}

/** Every function throws as a call to the API server does; `load` also `FederationRecordError`. */
export interface RecordStore {
  load(identityId: string): Promise<StoredRecord>;
  /** Throws a conflict where the stored record changed since it was loaded. */
  save(stored: StoredRecord, record: FederationRecord): Promise<StoredRecord>;
  /** Throws as `save` does. */
  remove(identityId: string, stored: StoredRecord): Promise<void>;
  /** The names of all records and the ids of their identities. */
  list(): Promise<{ name: string; identity: string }[]>;
}

const optionalKeys = ['credential', 'provenAt', 'former', 'unusedSince'] as const;

export function createRecordStore(client: KubeClient, namespace: string): RecordStore {
  const pathOf = (identityId: string) => resourcePath(configMaps, { namespace, name: federationRecordName(identityId) });
  return {
    async load(identityId) {
      try {
        const raw = await client.call('GET', pathOf(identityId));
        return { record: parseFederationRecord(raw), resourceVersion: metadataOf(raw).resourceVersion };
      } catch (error) {
        if (isNotFound(error)) return { record: undefined, resourceVersion: undefined };
        throw error;
      }
    },

    async save({ resourceVersion }, record) {
      const data = formatFederationRecord(record);
      const raw =
        resourceVersion === undefined
          ? await client.call('POST', resourcePath(configMaps, { namespace }), {
              body: {
                apiVersion: 'v1',
                kind: 'ConfigMap',
                metadata: { name: federationRecordName(record.identity), namespace, labels: federationRecordLabels },
                data,
              },
            })
          : // A patch: labels and annotations that a person added stay.
            await client.call('PATCH', pathOf(record.identity), {
              contentType: mergePatch,
              body: { metadata: { resourceVersion }, data: { ...Object.fromEntries(optionalKeys.map((key) => [key, null])), ...data } },
            });
      return { record, resourceVersion: metadataOf(raw).resourceVersion };
    },

    async remove(identityId, { resourceVersion }) {
      if (resourceVersion === undefined) return;
      const body = { apiVersion: 'v1', kind: 'DeleteOptions', preconditions: { resourceVersion } };
      await client.call('DELETE', pathOf(identityId), { body });
    },

    async list() {
      const found = await client.call('GET', resourcePath(configMaps, { namespace }), {
        query: { labelSelector: federationRecordSelector },
      });
      const items = at(found, 'items');
      return (Array.isArray(items) ? (items as unknown[]) : []).map((item) => ({
        name: stringAt(item, 'metadata', 'name') ?? '',
        identity: stringAt(item, 'data', 'identity') ?? '',
      }));
    },
  };
}
