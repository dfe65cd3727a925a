// Which identity a token request means: docs/reference/imds.md#token-request.
import type { Answer } from '../core/messages.ts';
import type { TokenSubject } from '../core/tokens.ts';
import type { AttachedIdentities, State, VmReference } from '../state/model.ts';
import { keyOf, vmId } from '../state/names.ts';
import { identityNotFound, invalid, severalIdentities } from './errors.ts';

export const selectorNames = ['client_id', 'object_id', 'msi_res_id', 'mi_res_id'] as const;
export type Selector = { readonly name: (typeof selectorNames)[number]; readonly value: string };

/** What this machine's IMDS knows by now; it learns of changes later than ARM. */
export function visibleIdentities(state: State, vm: VmReference | null, now: number): AttachedIdentities {
  const resource = vm === null ? undefined : state.resources.get(vm.resource);
  if (vm === null || resource === undefined) return { system: null, user: {} };
  // An instance that was scaled in, or whose set was recreated, has no identities.
  if (vm.instance !== null && !resource.instances.includes(vm.instance)) return { system: null, user: {} };
  const seen = resource.visible.findLast((entry) => entry.from <= now) ?? resource.visible[0];
  return seen?.identity ?? { system: null, user: {} };
}

/** The one selector of a request, null where there is none. An empty one counts as absent. */
export function readSelector(query: URLSearchParams): Selector | null | { refused: Answer } {
  const given = selectorNames.flatMap((name) => {
    const value = query.get(name);
    return value === null || value === '' ? [] : [{ name, value }];
  });
  if (given.length > 1) return { refused: invalid(`Only one of ${selectorNames.slice(0, 3).join(', ')} may be specified`) };
  return given[0] ?? null;
}

function userSubjects(state: State, attached: AttachedIdentities, machineId: string | null): TokenSubject[] {
  return Object.entries(attached.user).flatMap(([key, { principalId }]) => {
    const known = state.identities.get(key);
    // Deleted, or recreated since it was attached: IMDS does not know it until it is removed and added again.
    if (known === undefined || known.principalId !== principalId) return [];
    return [
      {
        objectId: known.principalId,
        appId: known.clientId,
        tenantId: known.tenantId,
        resourceId: known.id,
        machineId,
        proof: '2' as const,
      },
    ];
  });
}

function systemSubject(state: State, attached: AttachedIdentities, vm: VmReference | null): TokenSubject | null {
  const resource = vm === null ? undefined : state.resources.get(vm.resource);
  if (attached.system === null || vm === null || resource === undefined) return null;
  const { principalId, clientId, tenantId } = attached.system;
  return { objectId: principalId, appId: clientId, tenantId, resourceId: vmId(resource, vm), machineId: resource.id, proof: '2' };
}

export function selectIdentity(
  state: State,
  vm: VmReference | null,
  now: number,
  selector: Selector | null,
): TokenSubject | { refused: Answer } {
  const attached = visibleIdentities(state, vm, now);
  const users = userSubjects(state, attached, (vm && state.resources.get(vm.resource)?.id) ?? null);
  const system = systemSubject(state, attached, vm);
  if (selector !== null) {
    const field = selector.name === 'client_id' ? 'appId' : selector.name === 'object_id' ? 'objectId' : 'resourceId';
    const all = system === null ? users : [...users, system];
    return all.find((one) => keyOf(one[field] ?? '') === keyOf(selector.value)) ?? { refused: identityNotFound() };
  }
  if (system !== null) return system;
  const [first] = users;
  // A stale attachment counts as one of several, so that the default does not become another identity.
  if (Object.keys(attached.user).length > 1) return { refused: severalIdentities() };
  return first ?? { refused: identityNotFound() };
}
