// Which resource, list or operation a path means. Paths are matched without regard to case.
import type { Incoming } from '../core/messages.ts';
import { pathSegments } from '../core/messages.ts';
import { identityId, scaleSetId, virtualMachineId } from '../state/names.ts';

export type ComputeKind = 'scaleSet' | 'virtualMachine';

export type Target =
  | {
      readonly kind: 'compute';
      readonly of: ComputeKind;
      readonly id: string;
      readonly subscription: string;
      readonly group: string;
      readonly name: string;
    }
  | {
      readonly kind: 'computeList';
      readonly of: ComputeKind;
      readonly scope: string;
      readonly subscription: string;
      readonly group: string | null;
    }
  | {
      readonly kind: 'instance';
      readonly set: string;
      readonly instance: string | null;
      readonly subscription: string;
      readonly group: string;
      readonly name: string;
    }
  | { readonly kind: 'identity'; readonly id: string; readonly subscription: string; readonly group: string; readonly name: string }
  | {
      readonly kind: 'credential';
      /** Id of the identity. */
      readonly identity: string;
      /** Null: the list. */
      readonly credential: string | null;
      readonly subscription: string;
      readonly group: string;
      readonly name: string;
    }
  | { readonly kind: 'identityList'; readonly scope: string; readonly subscription: string; readonly group: string | null }
  | { readonly kind: 'operation'; readonly subscription: string; readonly id: string }
  | { readonly kind: 'endpoints' };

const computeTypes: Readonly<Record<string, ComputeKind>> = { virtualmachinescalesets: 'scaleSet', virtualmachines: 'virtualMachine' };

export const typeName = {
  scaleSet: 'Microsoft.Compute/virtualMachineScaleSets',
  virtualMachine: 'Microsoft.Compute/virtualMachines',
} as const;

function inProvider(subscription: string, group: string | null, provider: string, rest: readonly string[]): Target | null {
  const [type = '', name, child, childName, ...more] = rest;
  const scope = `/subscriptions/${subscription}${group === null ? '' : `/resourceGroups/${group}`}`;
  if (more.length > 0) return null;
  if (provider === 'microsoft.managedidentity' && type.toLowerCase() === 'userassignedidentities') {
    if (name === undefined) return { kind: 'identityList', scope, subscription, group };
    if (group === null) return null;
    const id = identityId(subscription, group, name);
    if (child === undefined) return { kind: 'identity', id, subscription, group, name };
    if (child.toLowerCase() !== 'federatedidentitycredentials') return null;
    return { kind: 'credential', identity: id, credential: childName ?? null, subscription, group, name };
  }
  if (provider !== 'microsoft.compute') return null;
  if (type.toLowerCase() === 'locations' && child?.toLowerCase() === 'operations' && childName !== undefined) {
    return { kind: 'operation', subscription, id: childName };
  }
  const of = computeTypes[type.toLowerCase()];
  if (of === undefined) return null;
  if (name === undefined) return { kind: 'computeList', of, scope, subscription, group };
  if (group === null) return null;
  const id = (of === 'scaleSet' ? scaleSetId : virtualMachineId)(subscription, group, name);
  if (child === undefined) return { kind: 'compute', of, id, subscription, group, name };
  if (of !== 'scaleSet' || child.toLowerCase() !== 'virtualmachines') return null;
  return { kind: 'instance', set: id, instance: childName ?? null, subscription, group, name };
}

/** Null where the path is no resource. */
export function targetOf(request: Pick<Incoming, 'path'>): Target | null {
  const segments = pathSegments(request.path);
  if (segments === null || segments.includes('')) return null;
  const [first = '', subscription, ...rest] = segments;
  if (first.toLowerCase() === 'metadata' && subscription?.toLowerCase() === 'endpoints' && rest.length === 0) return { kind: 'endpoints' };
  if (first.toLowerCase() !== 'subscriptions' || subscription === undefined) return null;
  const grouped = rest[0]?.toLowerCase() === 'resourcegroups';
  const group = grouped ? (rest[1] ?? null) : null;
  const [providers = '', provider = '', ...below] = grouped ? rest.slice(2) : rest;
  if (providers.toLowerCase() !== 'providers') return null;
  return inProvider(subscription, group, provider.toLowerCase(), below);
}
