// Federation records as ConfigMaps of the release namespace. The informer reads them, so that neither a start nor a look for edits by a person costs a
// call for each identity.
import type { FederationRecord } from '../../lib/identities/federation/record.ts';
import {
  FederationRecordError,
  federationRecordLabels,
  federationRecordName,
  formatFederationRecord,
  parseFederationRecord,
} from '../../lib/identities/federation/record.ts';
import type { ListedRecord } from '../../lib/identities/federation/records.ts';
import type { KubeClient } from '../../lib/kube/client.ts';
import { mergePatch } from '../../lib/kube/client.ts';
import { isAlreadyExists } from '../../lib/kube/errors.ts';
import type { Informer } from '../../lib/kube/informer.ts';
import { isNewer } from '../../lib/kube/informer.ts';
import { metadataOf } from '../../lib/kube/objects.ts';
import { configMaps, resourcePath } from '../../lib/kube/resources.ts';

/** A record and the version it was read at; both undefined where none is stored. */
export interface StoredRecord {
  readonly record: FederationRecord | undefined;
  readonly resourceVersion: string | undefined;
}

/**
 * Every function throws {@link FederationRecordError} for a record that a person must mend. `save` and `remove` throw as a call to the API server does, with
 * a conflict where the stored record changed since it was loaded.
 */
export interface RecordStore {
  /** As it was saved last, also where the informer does not know that yet. */
  load(identityId: string): StoredRecord;
  save(stored: StoredRecord, record: FederationRecord): Promise<StoredRecord>;
  remove(identityId: string, stored: StoredRecord): Promise<void>;
}

const optionalKeys = ['credential', 'provenAt', 'former', 'unusedSince'] as const;

export interface RecordStoreOptions {
  client: KubeClient;
  namespace: string;
  informer: Pick<Informer<ListedRecord>, 'get' | 'resourceVersion'>;
}

export function createRecordStore({ client, namespace, informer }: RecordStoreOptions): RecordStore {
  const pathOf = (identityId: string) => resourcePath(configMaps, { namespace, name: federationRecordName(identityId) });
  /** Saved, and perhaps newer than what the informer knows. By the name of the ConfigMap. */
  const saved = new Map<string, { record: FederationRecord; resourceVersion: string }>();

  async function create(identityId: string, body: unknown): Promise<unknown> {
    try {
      return await client.call('POST', resourcePath(configMaps, { namespace }), { body });
    } catch (error) {
      // The informer keeps no record that cannot be understood.
      if (isAlreadyExists(error)) parseFederationRecord(await client.call('GET', pathOf(identityId)));
      throw error;
    }
  }

  return {
    load(identityId) {
      const name = federationRecordName(identityId);
      const own = saved.get(name);
      if (own !== undefined && isNewer(own.resourceVersion, informer.resourceVersion)) return own;
      saved.delete(name);
      const listed = informer.get(`${namespace}/${name}`);
      if (listed === undefined) return { record: undefined, resourceVersion: undefined };
      const { resourceVersion, ...record } = listed;
      // The name has only a part of the hash of the id.
      if (record.identity !== identityId)
        throw new FederationRecordError(`ConfigMap ${name} is the record of ${record.identity}, not of ${identityId}`);
      return { record, resourceVersion };
    },

    async save({ resourceVersion }, record) {
      const data = formatFederationRecord(record);
      const name = federationRecordName(record.identity);
      const raw =
        resourceVersion === undefined
          ? await create(record.identity, {
              apiVersion: 'v1',
              kind: 'ConfigMap',
              metadata: { name, namespace, labels: federationRecordLabels },
              data,
            })
          : // A patch: labels and annotations that a person added stay.
            await client.call('PATCH', pathOf(record.identity), {
              contentType: mergePatch,
              body: { metadata: { resourceVersion }, data: { ...Object.fromEntries(optionalKeys.map((key) => [key, null])), ...data } },
            });
      const entry = { record, resourceVersion: metadataOf(raw).resourceVersion ?? '' };
      saved.set(name, entry);
      return entry;
    },

    async remove(identityId, { resourceVersion }) {
      if (resourceVersion === undefined) return;
      const body = { apiVersion: 'v1', kind: 'DeleteOptions', preconditions: { resourceVersion } };
      await client.call('DELETE', pathOf(identityId), { body });
    },
  };
}
