// The federation records of the controller, by identity and by client id: the only source for client id, tenant and proof of a federated identity, since
// what stands in an AzureIdentity or AzureAssignedIdentity was written by others (docs/adr/0030-federated-assignment.md).

import type { KubeClient } from '../../kube/client.ts';
import type { Informer } from '../../kube/informer.ts';
import { startInformer } from '../../kube/informer.ts';
import { metadataOf } from '../../kube/objects.ts';
import { configMaps } from '../../kube/resources.ts';
import type { Logger } from '../../log.ts';
import { indexBy } from '../index-by.ts';
import type { FederationRecord } from './record.ts';
import { FederationRecordError, federationRecordSelector, parseFederationRecord } from './record.ts';

/** As the API server has it. */
export interface ListedRecord extends FederationRecord {
  readonly resourceVersion: string;
}

export interface FederationRecords {
  /** Undefined where nobody writes records: in managed mode. */
  readonly informer: Informer<ListedRecord> | undefined;
  /** By the lower-case ARM id. */
  of(identityId: string): FederationRecord | undefined;
  /** The lower-case ARM ids of the managed identities that are recorded with this client id. */
  identityIdsOf(clientId: string): readonly string[];
  /** Calls with the lower-case ARM id of each identity whose record changed. The returned function unsubscribes. */
  onChange(listener: (identityId: string) => void): () => void;
}

export const noFederationRecords: FederationRecords = {
  informer: undefined,
  of: () => undefined,
  identityIdsOf: () => [],
  onChange: () => () => undefined,
};

/** `namespace`: of the release. */
export function watchFederationRecords(options: { client: KubeClient; log: Logger; namespace: string }): Informer<ListedRecord> {
  const { log } = options;
  return startInformer({
    ...options,
    resource: configMaps,
    labelSelector: federationRecordSelector,
    project(raw) {
      try {
        return { ...parseFederationRecord(raw), resourceVersion: metadataOf(raw).resourceVersion ?? '' };
      } catch (error) {
        if (!(error instanceof FederationRecordError)) throw error;
        log.warn({ error: error.message }, 'federation record not understood');
        return undefined;
      }
    },
  });
}

export function indexFederationRecords(informer: Informer<ListedRecord>): FederationRecords {
  const byIdentity = indexBy(informer, (record) => record.identity);
  const byClient = indexBy(informer, (record) => record.clientId.toLowerCase());
  const first = (keys: Iterable<string>): FederationRecord | undefined => {
    const [key] = keys;
    return key === undefined ? undefined : informer.get(key);
  };
  return {
    informer,
    of: (identityId) => first(byIdentity(identityId)),
    identityIdsOf: (clientId) => [...byClient(clientId.trim().toLowerCase())].flatMap((key) => informer.get(key)?.identity ?? []).sort(),
    onChange: (listener) =>
      informer.onChange(({ before, after }) => {
        for (const identityId of new Set([before?.identity, after?.identity])) if (identityId !== undefined) listener(identityId);
      }),
  };
}
