// `list --who`: who can get an identity. By a binding, and by its being attached to a node: whatever reaches IMDS there can ask for it.

import { injectedLabel } from '../../api/names.ts';
import type { Identity } from '../../lib/identities/identity.ts';
import { at, metadataOf, stringAt } from '../../lib/kube/objects.ts';
import type { ListedIdentity } from './rows.ts';

export interface Who {
  /** `namespace/name` of the AzureIdentities that are meant. */
  readonly identities: readonly string[];
  readonly byBinding: readonly ListedIdentity[];
  /** Nodes that have the identity attached. Empty where it is federated, or not attached. */
  readonly nodes: readonly string[];
  /** Pods on these nodes that nothing keeps from IMDS, as `namespace/name`. */
  readonly unguarded: readonly string[];
}

/** The AzureIdentities that a name, `namespace/name` or resource id means. */
export function findIdentities(identities: readonly Identity[], wanted: string): Identity[] {
  const lower = wanted.toLowerCase();
  if (lower.startsWith('/subscriptions/')) return identities.filter(({ identityId }) => identityId === lower);
  return identities.filter(({ key, name }) => (wanted.includes('/') ? key === wanted : name === wanted));
}

export interface WhoInput {
  identities: readonly Identity[];
  rows: readonly ListedIdentity[];
  /** Raw, of all namespaces. */
  pods: readonly unknown[];
}

export function whoCanGet({ identities, rows, pods }: WhoInput): Who {
  const keys = new Set(identities.map(({ key }) => key));
  const byBinding = rows.filter(({ identity }) => keys.has(identity));
  const ids = new Set(identities.map(({ identityId }) => identityId));
  // A federated identity has itself as scope and is on no node.
  const nodes = new Set(
    byBinding.filter(({ state, scope }) => state === 'Assigned' && !ids.has(scope.toLowerCase())).map(({ node }) => node),
  );
  const unguarded = pods.filter((pod) => nodes.has(stringAt(pod, 'spec', 'nodeName') ?? '') && isUnguarded(pod)).map(keyOf);
  return { identities: [...keys], byBinding, nodes: [...nodes].sort(), unguarded: unguarded.sort() };
}

/** The marker `redirect` or `guard` keeps a pod from IMDS; a pod of the host network has no packet rules of its own. */
function isUnguarded(pod: unknown): boolean {
  const phase = stringAt(pod, 'status', 'phase');
  if (phase === 'Succeeded' || phase === 'Failed') return false;
  const marker = metadataOf(pod).labels?.[injectedLabel];
  return (marker !== 'redirect' && marker !== 'guard') || at(pod, 'spec', 'hostNetwork') === true;
}

const keyOf = (pod: unknown): string => `${metadataOf(pod).namespace}/${metadataOf(pod).name}`;
