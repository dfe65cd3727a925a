import type { AzureIdentity, IdentityType } from '../../api/kinds.ts';
import { annotations, apiGroup, apiVersion } from '../../api/names.ts';
import { identityIdOf } from '../azure/resource-ids.ts';
import { keyOf } from '../kube/informer.ts';
import { at, metadataOf, stringAt, stringsAt } from '../kube/objects.ts';
import { specOf } from '../kube/old-fields.ts';

/** What is kept of an AzureIdentity. */
export interface Identity {
  key: string;
  namespace: string;
  name: string;
  /** Annotated to be used by pods of its own namespace only. */
  namespaced: boolean;
  /** Undefined for an unknown type. */
  type: IdentityType | undefined;
  resourceID: string;
  clientID: string;
  /** Lower-case ARM id; undefined for types 1 to 3, and for a resourceID that names no user-assigned identity. */
  identityId: string | undefined;
  tenantID: string;
  /** Of type 1 only. */
  auxiliaryTenantIDs: string[];
  /** Metadata without managed fields, and spec. An AzureAssignedIdentity holds a few short fields of it. */
  object: AzureIdentity;
}

export function identityOf(raw: unknown): Identity | undefined {
  const metadata = metadataOf(raw);
  if (metadata.namespace === undefined || metadata.name === undefined) return undefined;
  const spec = specOf(raw);
  const type = at(spec, 'type') ?? 0;
  const resourceID = stringAt(spec, 'resourceID')?.trim() ?? '';
  return {
    key: keyOf(metadata),
    namespace: metadata.namespace,
    name: metadata.name,
    namespaced: metadata.annotations?.[annotations.behavior] === 'namespaced',
    type: type === 0 || type === 1 || type === 2 || type === 3 ? type : undefined,
    resourceID,
    clientID: stringAt(spec, 'clientID')?.trim() ?? '',
    identityId: type === 0 ? identityIdOf(resourceID) : undefined,
    tenantID: stringAt(spec, 'tenantID') ?? '',
    auxiliaryTenantIDs: type === 1 ? stringsAt(spec, 'auxiliaryTenantIDs') : [],
    object: { apiVersion: `${apiGroup}/${apiVersion}`, kind: 'AzureIdentity', metadata, ...(spec === undefined ? {} : { spec }) },
  };
}
