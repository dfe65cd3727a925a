// `list --who`: who can get an identity. By a binding, and by its being attached to a node: whatever reaches IMDS there can ask for it.
import { annotations, injectedLabel } from '../../api/names.ts';
import { scopeOfId, scopeOfProviderId } from '../../lib/azure/resource-ids.ts';
import type { Assignment } from '../../lib/identities/assignment.ts';
import type { Identity } from '../../lib/identities/identity.ts';
import { at, metadataOf, stringAt } from '../../lib/kube/objects.ts';
import type { ListedIdentity } from './rows.ts';

export interface Who {
  /** `namespace/name` of the AzureIdentities that are meant. */
  readonly identities: readonly string[];
  readonly byBinding: readonly ListedIdentity[];
  /** Nodes that have the identity attached: all of a scale set. Empty where it is federated, or not attached. */
  readonly nodes: readonly string[];
  /** Pods on these nodes that nothing keeps from IMDS, as `namespace/name`. */
  readonly unguarded: readonly string[];
}

/** The AzureIdentities that a name, `namespace/name`, client id or resource id means. A client id also counts where only Azure has told it. */
export function findIdentities(identities: readonly Identity[], assignments: readonly Assignment[], wanted: string): Identity[] {
  if (wanted === '') return [];
  const lower = wanted.toLowerCase();
  if (lower.startsWith('/subscriptions/')) return identities.filter(({ identityId }) => identityId === lower);
  if (wanted.includes('/')) return identities.filter(({ key }) => key === wanted);
  const reported = new Set(
    assignments
      .filter(({ metadata }) => metadata.annotations?.[annotations.clientId]?.toLowerCase() === lower)
      .map(({ identityKey }) => identityKey),
  );
  return identities.filter(({ key, name, clientID }) => name === wanted || clientID.toLowerCase() === lower || reported.has(key));
}

export interface WhoInput {
  identities: readonly Identity[];
  rows: readonly ListedIdentity[];
  /** Raw, of all namespaces. */
  pods: readonly unknown[];
  /** Raw. */
  nodes: readonly unknown[];
}

export function whoCanGet({ identities, rows, pods, nodes: allNodes }: WhoInput): Who {
  const keys = new Set(identities.map(({ key }) => key));
  const byBinding = rows.filter(({ identity }) => keys.has(identity));
  // The scope of a federated identity is the identity itself, which is no scale set and no VM.
  const scopes = new Set(byBinding.filter(({ state }) => state === 'Assigned').flatMap(({ scope }) => scopeOfId(scope)?.id ?? []));
  const nodes = new Set(allNodes.filter((node) => scopes.has(scopeOf(node))).map((node) => metadataOf(node).name ?? ''));
  const unguarded = pods.filter((pod) => nodes.has(stringAt(pod, 'spec', 'nodeName') ?? '') && isUnguarded(pod)).map(keyOf);
  return { identities: [...keys], byBinding, nodes: [...nodes].sort(), unguarded: unguarded.sort() };
}

function scopeOf(node: unknown): string {
  const scope = scopeOfProviderId(stringAt(node, 'spec', 'providerID') ?? '');
  return typeof scope === 'string' ? '' : scope.id;
}

/** The marker `redirect` or `guard` keeps a pod from IMDS; a pod of the host network has no packet rules of its own. */
function isUnguarded(pod: unknown): boolean {
  const phase = stringAt(pod, 'status', 'phase');
  if (phase === 'Succeeded' || phase === 'Failed') return false;
  const marker = metadataOf(pod).labels?.[injectedLabel];
  return (marker !== 'redirect' && marker !== 'guard') || at(pod, 'spec', 'hostNetwork') === true;
}

const keyOf = (pod: unknown): string => `${metadataOf(pod).namespace}/${metadataOf(pod).name}`;
