// What other writers do to the same Azure: AKS, the autoscaler, an operator in the portal.
import { guidOf } from '../core/random.ts';
import { withCredential, withoutCredential } from '../state/credentials.ts';
import { systemIdentity } from '../state/document.ts';
import type { Change, ComputeResource, FederatedCredential, State } from '../state/model.ts';
import { findIdentity, keyOf } from '../state/names.ts';

export type Action =
  | { readonly do: 'capacity'; readonly resource: string; readonly instances: number }
  | { readonly do: 'bump-etag'; readonly resource: string }
  | { readonly do: 'attach'; readonly resource: string; readonly identities: readonly string[] }
  /** Removes identities; null: all user-assigned ones. */
  | { readonly do: 'wipe'; readonly resource: string; readonly identities: readonly string[] | null }
  | { readonly do: 'delete'; readonly resource: string }
  /** Deleted and made again under its name, with a fresh etag and no identities. */
  | { readonly do: 'recreate'; readonly resource: string }
  | { readonly do: 'delete-identity'; readonly identity: string }
  | { readonly do: 'recreate-identity'; readonly identity: string }
  | ({ readonly do: 'put-credential'; readonly identity: string } & FederatedCredential)
  /** Null: all of them. */
  | { readonly do: 'delete-credential'; readonly identity: string; readonly name: string | null }
  | { readonly do: 'roll-keys' };

export type ActionResult = { readonly changes: readonly Change[] } | { readonly error: string };

function rewrite(resource: ComputeResource, now: number, next: Partial<ComputeResource>): Change {
  const identity = next.identity ?? resource.identity;
  const visible = next.identity === undefined ? resource.visible : [...resource.visible, { from: now, identity }];
  return { table: 'resources', key: keyOf(resource.id), value: { ...resource, ...next, visible, etag: resource.etag + 1 } };
}

function cancelOperations(state: State, key: string, now: number): Change[] {
  const error = { code: 'OperationPreempted', message: 'The resource was deleted while the operation was in progress.' };
  return [...state.operations.values()]
    .filter((operation) => operation.resource === key && operation.status === 'InProgress')
    .map((operation) => ({
      table: 'operations',
      key: operation.id,
      value: { ...operation, status: 'Canceled', finishedAt: now, end: { status: 'Canceled', error } },
    }));
}

function onResource(state: State, action: Exclude<Action, { identity: string } | { do: 'roll-keys' }>, now: number): ActionResult {
  const resource = state.resources.get(keyOf(action.resource));
  if (resource === undefined) return { error: `resource: there is no scale set or virtual machine "${action.resource}"` };
  const key = keyOf(resource.id);
  if (action.do === 'capacity') {
    if (resource.orchestration !== 'Uniform') return { error: 'resource: only a Uniform scale set has instances to count' };
    const instances = resize(resource.instances, action.instances);
    return { changes: [rewrite(resource, now, { instances })] };
  }
  if (action.do === 'bump-etag') return { changes: [rewrite(resource, now, {})] };
  if (action.do === 'attach') {
    const found = action.identities.map((name) => findIdentity(state.identities, name));
    const unknown = action.identities.find((_, index) => found[index] === null);
    if (unknown !== undefined) return { error: `identities: there is no identity "${unknown}"` };
    const added = found.flatMap((one) => (one === null ? [] : [[keyOf(one.id), { id: one.id, principalId: one.principalId }] as const]));
    return {
      changes: [
        rewrite(resource, now, { identity: { ...resource.identity, user: { ...resource.identity.user, ...Object.fromEntries(added) } } }),
      ],
    };
  }
  if (action.do === 'wipe') {
    const gone = action.identities?.map((name) => keyOf(findIdentity(state.identities, name)?.id ?? name));
    const user = Object.fromEntries(Object.entries(resource.identity.user).filter(([id]) => gone !== undefined && !gone.includes(id)));
    return { changes: [rewrite(resource, now, { identity: { ...resource.identity, user } })] };
  }
  const canceled = cancelOperations(state, key, now);
  if (action.do === 'delete') return { changes: [...canceled, { table: 'resources', key, value: null }] };
  const identity = {
    system: resource.identity.system === null ? null : systemIdentity(`${key} made ${now}`, resource.identity.system.tenantId),
    user: {},
  };
  const fresh = { ...resource, identity, etag: 1, provisioningState: 'Succeeded', visible: [{ from: now, identity }] };
  return { changes: [...canceled, { table: 'resources', key, value: fresh }] };
}

/** Grows with the next free numbers, shrinks from the end. */
export function resize(instances: readonly string[], wanted: number): string[] {
  const result = instances.slice(0, wanted);
  for (let next = 0; result.length < wanted; next += 1) {
    const free = 1 + Math.max(-1, ...instances.map(Number).filter(Number.isInteger));
    result.push(String(free + next));
  }
  return result;
}

export function act(
  state: State,
  action: Exclude<Action, { do: 'roll-keys' }>,
  { now, random }: { now: number; random: () => number },
): ActionResult {
  if (!('identity' in action)) return onResource(state, action, now);
  const identity = findIdentity(state.identities, action.identity);
  if (identity === null) return { error: `identity: there is no identity "${action.identity}"` };
  const key = keyOf(identity.id);
  const timing = { now, random, settings: state.config.settings };
  if (action.do === 'put-credential') {
    const { name, issuer, subject, audiences } = action;
    return { changes: [{ table: 'identities', key, value: withCredential(identity, { name, issuer, subject, audiences }, timing) }] };
  }
  if (action.do === 'delete-credential') {
    const names = action.name === null ? identity.federated.map(({ name }) => name) : [action.name];
    const value = names.reduce((before, name) => withoutCredential(before, name, timing), identity);
    return { changes: [{ table: 'identities', key, value }] };
  }
  if (action.do === 'delete-identity') return { changes: [{ table: 'identities', key, value: null }] };
  const value = {
    ...identity,
    clientId: guidOf(`${identity.clientId} again`),
    principalId: guidOf(`${identity.principalId} again`),
    federated: [],
    trusts: [],
  };
  return { changes: [{ table: 'identities', key, value }] };
}
