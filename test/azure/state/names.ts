// Resource ids and how people write them. ARM compares ids without regard to case and answers in the case of creation.
import type { State, UserAssignedIdentity, VmReference } from './model.ts';

export const keyOf = (id: string): string => id.toLowerCase();

export const scaleSetId = (subscription: string, group: string, name: string): string =>
  `/subscriptions/${subscription}/resourceGroups/${group}/providers/Microsoft.Compute/virtualMachineScaleSets/${name}`;

export const virtualMachineId = (subscription: string, group: string, name: string): string =>
  `/subscriptions/${subscription}/resourceGroups/${group}/providers/Microsoft.Compute/virtualMachines/${name}`;

export const identityId = (subscription: string, group: string, name: string): string =>
  `/subscriptions/${subscription}/resourceGroups/${group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/${name}`;

export const identityIdPattern =
  /^\/subscriptions\/[^/]+\/resourcegroups\/[^/]+\/providers\/microsoft\.managedidentity\/userassignedidentities\/[^/]+$/i;

export const guidPattern = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

export const lastSegment = (id: string): string => id.slice(id.lastIndexOf('/') + 1);

/**
 * Finds a machine by `set/instance`, by the name of a virtual machine, or by either's ARM id (also as a node's providerID).
 * Null when there is none, or the name alone fits several.
 */
export function findVm(resources: State['resources'], reference: string): VmReference | null {
  const wanted = reference.toLowerCase().replace(/^azure:\/\//, '');
  const found: VmReference[] = [];
  for (const [key, resource] of resources) {
    if (resource.kind === 'virtualMachine') {
      if (wanted === key || wanted === resource.name.toLowerCase()) found.push({ resource: key, instance: null });
    } else {
      for (const instance of resource.instances) {
        const names = [`${key}/virtualmachines/${instance}`, `${resource.name.toLowerCase()}/${instance}`];
        if (names.includes(wanted)) found.push({ resource: key, instance });
      }
    }
  }
  const [only, ...others] = found;
  return only !== undefined && others.length === 0 ? only : null;
}

/** The full id of a machine, as in a node's providerID. */
export function vmId(resource: { id: string }, vm: VmReference): string {
  return vm.instance === null ? resource.id : `${resource.id}/virtualMachines/${vm.instance}`;
}

/** A user-assigned identity by resource id, client id or principal id, in any case. */
export function findIdentity(identities: State['identities'], name: string): UserAssignedIdentity | null {
  const wanted = name.toLowerCase();
  const byId = identities.get(wanted);
  if (byId !== undefined) return byId;
  for (const identity of identities.values()) {
    if (identity.clientId.toLowerCase() === wanted || identity.principalId.toLowerCase() === wanted) return identity;
  }
  return null;
}
