// Resources as ARM shows them. Ids have the case that they were created with.
import { guidOf } from '../core/random.ts';
import type { AttachedIdentities, ComputeResource, State, UserAssignedIdentity } from '../state/model.ts';
import { keyOf } from '../state/names.ts';
import { identityType } from '../state/write.ts';
import { typeName } from './target.ts';

/** Principal and client id are both null where the identity was deleted or recreated since. */
function renderIdentity(identity: AttachedIdentities, identities: State['identities']): Record<string, unknown> | undefined {
  const type = identityType(identity);
  if (type === 'None') return undefined;
  const user = Object.entries(identity.user).map(([key, { id, principalId }]) => {
    const known = identities.get(key);
    const alive = known?.principalId === principalId;
    return [id, { principalId: alive ? known.principalId : null, clientId: alive ? known.clientId : null }];
  });
  return {
    type,
    ...(identity.system === null ? {} : { principalId: identity.system.principalId, tenantId: identity.system.tenantId }),
    ...(user.length === 0 ? {} : { userAssignedIdentities: Object.fromEntries(user) }),
  };
}

/** From this api-version on answers carry `etag` and writes take If-Match. */
export const etagsSince = '2024-03-01';

export const quoted = (etag: number): string => `"${etag}"`;

export function renderCompute(state: State, resource: ComputeResource, apiVersion: string): Record<string, unknown> {
  const { id, name, location, tags, provisioningState } = resource;
  const etags = state.config.settings.arm.etags && apiVersion >= etagsSince;
  const identity = renderIdentity(resource.identity, state.identities);
  const shared = {
    id,
    name,
    type: typeName[resource.kind],
    location,
    tags,
    ...(etags ? { etag: quoted(resource.etag) } : {}),
    ...(identity === undefined ? {} : { identity }),
  };
  if (resource.kind === 'virtualMachine') {
    const set = resource.scaleSet === null ? undefined : state.resources.get(resource.scaleSet);
    const membership = set === undefined ? {} : { virtualMachineScaleSet: { id: set.id } };
    return {
      ...shared,
      properties: { vmId: guidOf(keyOf(id)), provisioningState, hardwareProfile: { vmSize: 'Standard_D2s_v5' }, ...membership },
    };
  }
  const members = [...state.resources.values()].filter((one) => one.scaleSet === keyOf(id)).length;
  const capacity = resource.orchestration === 'Uniform' ? resource.instances.length : members;
  const upgrade = resource.orchestration === 'Uniform' ? { upgradePolicy: { mode: 'Manual' } } : {};
  return {
    ...shared,
    sku: { name: 'Standard_D2s_v5', tier: 'Standard', capacity },
    properties: { provisioningState, orchestrationMode: resource.orchestration, uniqueId: guidOf(keyOf(id)), ...upgrade },
  };
}

/** One instance of a Uniform set: it has the identities of its set and none of its own. */
export function renderInstance(state: State, set: ComputeResource, instance: string, apiVersion: string): Record<string, unknown> {
  const { tags: _tags, sku: _sku, ...shared } = renderCompute(state, set, apiVersion);
  return {
    ...shared,
    id: `${set.id}/virtualMachines/${instance}`,
    name: `${set.name}_${instance}`,
    instanceId: instance,
    type: `${typeName.scaleSet}/virtualMachines`,
    properties: { vmId: guidOf(`${keyOf(set.id)}/${instance}`), provisioningState: 'Succeeded', latestModelApplied: true },
  };
}

export function renderUserAssigned(identity: UserAssignedIdentity): Record<string, unknown> {
  const { id, clientId, principalId, tenantId, location } = identity;
  const name = id.slice(id.lastIndexOf('/') + 1);
  return {
    id,
    name,
    type: 'Microsoft.ManagedIdentity/userAssignedIdentities',
    location,
    tags: {},
    properties: { tenantId, principalId, clientId },
  };
}
