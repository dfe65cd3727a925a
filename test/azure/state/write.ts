// The state as a document again: what GET /state answers, and what PUT /state takes back unchanged.
import type { AttachedIdentities, ComputeResource, State } from './model.ts';
import { vmId } from './names.ts';

export function identityType(identity: AttachedIdentities): 'None' | 'SystemAssigned' | 'UserAssigned' | 'SystemAssigned, UserAssigned' {
  const user = Object.keys(identity.user).length > 0;
  if (identity.system !== null) return user ? 'SystemAssigned, UserAssigned' : 'SystemAssigned';
  return user ? 'UserAssigned' : 'None';
}

function writeCompute(state: State, resource: ComputeResource): Record<string, unknown> {
  const { subscription, resourceGroup, name, location, tags, etag, provisioningState } = resource;
  const ids = Object.entries(resource.identity.user).map(([key, attachment]) =>
    state.identities.get(key)?.principalId === attachment.principalId ? attachment.id : attachment,
  );
  const identity = { type: identityType(resource.identity), ...(ids.length > 0 ? { ids } : {}) };
  return { subscription, resourceGroup, name, location, tags, etag, provisioningState, identity };
}

export function writeState(state: State): Record<string, unknown> {
  const { tenants, roles, denyAssignments, audiences, issuers, vm, settings, defaults } = state.config;
  const resources = [...state.resources.values()];
  const vmResource = vm === null ? undefined : state.resources.get(vm.resource);
  return {
    ...defaults,
    tenants,
    imds: { vm: vm === null || vmResource === undefined ? null : vmId(vmResource, vm) },
    scaleSets: resources
      .filter((resource) => resource.kind === 'scaleSet')
      .map((resource) => ({ ...writeCompute(state, resource), orchestration: resource.orchestration, instances: resource.instances })),
    virtualMachines: resources
      .filter((resource) => resource.kind === 'virtualMachine')
      .map((resource) => ({ ...writeCompute(state, resource), scaleSet: resource.scaleSet })),
    // What is not in the document: Entra's view follows from it.
    identities: [...state.identities.values()].map(({ trusts: _trusts, writingUntil: _writing, ...identity }) => identity),
    apps: [...state.apps.values()].map((app) => ({
      ...app,
      secrets: app.secrets.map(({ value, expires }) => ({ value, expires: expires === null ? null : new Date(expires).toISOString() })),
    })),
    roles,
    denyAssignments,
    audiences,
    issuers: issuers.map((issuer) => issuer.document),
    settings,
  };
}
