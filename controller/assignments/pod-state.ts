import { annotations } from '../../api/names.ts';
import type { Scope } from '../../lib/azure/resource-ids.ts';
import { isInside, scopeOfId, scopeOfProviderId } from '../../lib/azure/resource-ids.ts';
import type { Assignment } from '../../lib/identities/assignment.ts';
import { belongsTo } from '../../lib/identities/assignment.ts';
import type { AssignmentModeRules } from '../../lib/identities/federation/assignment-mode.ts';
import { assignmentModeOf } from '../../lib/identities/federation/assignment-mode.ts';
import type { Informers } from '../../lib/identities/informers.ts';
import type { Match } from '../../lib/identities/match.ts';
import { isForeign } from '../../lib/identities/match.ts';
import type { Pod } from '../../lib/identities/pod.ts';

/**
 * A namespace has at most so many objects for pods of other namespaces: whoever writes bindings in one namespace may select all pods of the
 * cluster. The caches are behind, so a few more may be made.
 */
export const maxForeignAssignments = 2_000;

/** Everything in the caches that decides about the AzureAssignedIdentities of one pod. */
export interface PodState {
  /** Undefined once the pod is gone. */
  pod: Pod | undefined;
  /** The identities that the pod may use. */
  matches: readonly Match[];
  /** Namespaces whose identities have {@link maxForeignAssignments} objects for pods of other namespaces. */
  fullNamespaces: ReadonlySet<string>;
  /** Keys of the matching AzureIdentity objects that identityPolicy does not allow. */
  notAllowed: ReadonlySet<string>;
  /** An AzurePodIdentityException applies to the pod. */
  excepted: boolean;
  /** AzureAssignedIdentities that name the pod, those that are being deleted last. */
  assignments: readonly Assignment[];
  /** Keys of the matching AzureIdentity objects that are federated, so that the pod's node does not matter. */
  federated: ReadonlySet<string>;
  /** Where identities of the pod are attached. `pending`: the node is not known yet, or has no providerID. `outside`: not within azureScopes. */
  scope: Scope | 'pending' | 'unsupported' | 'outside';
  /** Of the pod's node; undefined where the node is not in the cache. */
  providerID: string | undefined;
}

/** Of a pod that is gone. */
const nothing = {
  matches: [],
  fullNamespaces: new Set<string>(),
  notAllowed: new Set<string>(),
  excepted: false,
  federated: new Set<string>(),
  scope: 'pending',
  providerID: undefined,
} as const;

export interface PodStateRules extends AssignmentModeRules {
  /** Subscriptions and resource groups that nodes may be in; empty is any. */
  azureScopes: readonly string[];
}

export function readPodState(informers: Informers, podKey: string, rules: PodStateRules): PodState {
  const { azureScopes } = rules;
  const pod = informers.pods.get(podKey);
  const assignments = informers.assignmentsOf(podKey);
  if (pod === undefined) return { ...nothing, pod, assignments };
  const providerID = informers.nodes.get(pod.node)?.providerID;
  const scope = providerID === undefined ? (recordedScope(pod, assignments) ?? 'pending') : scopeOfProviderId(providerID);
  const isOutside = typeof scope === 'object' && azureScopes.length > 0 && !isInside(scope, azureScopes);
  const matches = informers.matches.matchesOf(pod);
  return {
    pod,
    matches,
    fullNamespaces: fullNamespacesOf(informers, pod, matches),
    notAllowed: new Set(matches.flatMap(({ identity }) => (informers.matches.isAllowed(identity) ? [] : [identity.key]))),
    excepted: informers.matches.isExcepted(pod),
    federated: new Set(matches.flatMap(({ identity }) => (assignmentModeOf(identity, rules) === 'federate' ? [identity.key] : []))),
    assignments,
    scope: isOutside ? 'outside' : scope,
    providerID,
  };
}

function fullNamespacesOf(informers: Informers, pod: Pod, matches: readonly Match[]): Set<string> {
  const authors = matches.filter((match) => isForeign(match, pod)).map(({ identity }) => identity.namespace);
  return new Set(authors.filter((namespace) => informers.foreignAssignmentsOf(namespace) >= maxForeignAssignments));
}

/** Where the Node object is gone before its pod, the pod's identities stay attached to the scope that its objects name. */
function recordedScope(pod: Pod, assignments: readonly Assignment[]): Scope | undefined {
  const current = assignments.filter((assignment) => belongsTo(assignment, pod) && assignment.node === pod.node);
  return current.flatMap(({ metadata }) => scopeOfId(metadata.annotations?.[annotations.scope] ?? '') ?? [])[0];
}
