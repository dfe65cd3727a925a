// Federation records as ConfigMaps of the release namespace. Reads are those of an informer, so that neither a start nor a look for edits by a person
// costs a call for each identity.
import type { FederationRecord } from '../../lib/identities/federation/record.ts';
import {
  FederationRecordError,
  federationRecordLabels,
  federationRecordName,
  federationRecordSelector,
  formatFederationRecord,
  parseFederationRecord,
} from '../../lib/identities/federation/record.ts';
import type { KubeClient } from '../../lib/kube/client.ts';
import { mergePatch } from '../../lib/kube/client.ts';
import type { Informer } from '../../lib/kube/informer.ts';
import { isNewer, startInformer } from '../../lib/kube/informer.ts';
import { metadataOf } from '../../lib/kube/objects.ts';
import { configMaps, resourcePath } from '../../lib/kube/resources.ts';
import type { Logger } from '../../lib/log.ts';

/** A record and the version it was read at; both undefined where none is stored. */
export interface StoredRecord {
  readonly record: FederationRecord | undefined;
  readonly resourceVersion: string | undefined;
}

/** `save` and `remove` throw as a call to the API server does, with a conflict where the stored record changed since it was loaded. */
export interface RecordStore {
  /** As it was saved last, also where the informer does not know that yet. Throws {@link FederationRecordError}. */
  load(identityId: string): StoredRecord;
  save(stored: StoredRecord, record: FederationRecord): Promise<StoredRecord>;
  remove(identityId: string, stored: StoredRecord): Promise<void>;
}

/** What the informer keeps of a ConfigMap. */
export type RecordEntry = { resourceVersion: string } & ({ record: FederationRecord } | { error: FederationRecordError });

const optionalKeys = ['credential', 'provenAt', 'former', 'unusedSince'] as const;

export function watchRecords(options: { client: KubeClient; namespace: string; log: Logger }): Informer<RecordEntry> {
  const { log } = options;
  return startInformer({
    ...options,
    resource: configMaps,
    labelSelector: federationRecordSelector,
    project(raw) {
      const { resourceVersion = '' } = metadataOf(raw);
      try {
        return { resourceVersion, record: parseFederationRecord(raw) };
      } catch (error) {
        if (!(error instanceof FederationRecordError)) throw error;
        log.error({ error: error.message }, 'federation record not understood');
        return { resourceVersion, error };
      }
    },
  });
}

export interface RecordStoreOptions {
  client: KubeClient;
  namespace: string;
  informer: Pick<Informer<RecordEntry>, 'get' | 'resourceVersion'>;
}

export function createRecordStore({ client, namespace, informer }: RecordStoreOptions): RecordStore {
  const pathOf = (identityId: string) => resourcePath(configMaps, { namespace, name: federationRecordName(identityId) });
  /** Saved, and perhaps newer than what the informer knows. By the name of the ConfigMap. */
  const saved = new Map<string, { record: FederationRecord; resourceVersion: string }>();

  return {
    load(identityId) {
      const name = federationRecordName(identityId);
      const own = saved.get(name);
      if (own !== undefined && isNewer(own.resourceVersion, informer.resourceVersion)) return own;
      saved.delete(name);
      const entry = informer.get(`${namespace}/${name}`);
      if (entry === undefined) return { record: undefined, resourceVersion: undefined };
      if ('error' in entry) throw entry.error;
      // The name has only a part of the hash of the id.
      if (entry.record.identity !== identityId)
        throw new FederationRecordError(`ConfigMap ${name} is the record of ${entry.record.identity}, not of ${identityId}`);
      return entry;
    },

    async save({ resourceVersion }, record) {
      const data = formatFederationRecord(record);
      const name = federationRecordName(record.identity);
      const raw =
        resourceVersion === undefined
          ? await client.call('POST', resourcePath(configMaps, { namespace }), {
              body: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace, labels: federationRecordLabels }, data },
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
