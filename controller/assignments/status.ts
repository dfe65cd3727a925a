// What users read when a pod gets no identity: pure.
import { annotations } from '../../api/names.ts';
import { identityIdForm } from '../../lib/azure/resource-ids.ts';
import type { Assignment } from '../../lib/identities/assignment.ts';
import type { Binding } from '../../lib/identities/binding.ts';
import type { Identity } from '../../lib/identities/identity.ts';
import type { Match, MatchRules } from '../../lib/identities/match.ts';
import { maxForeignMatches } from '../../lib/identities/match.ts';
import type { Pod } from '../../lib/identities/pod.ts';
import { notAllowedMessage } from '../../lib/identities/policy.ts';
import type { AssignmentReason } from '../../lib/identities/reasons.ts';
import type { PodState } from './pod-state.ts';
import { maxForeignAssignments } from './pod-state.ts';

interface Cause {
  reason: AssignmentReason;
  message: string;
}

export interface BlockedAssignment extends Cause {
  current: Assignment;
  match: Match;
}

/** The objects that wait for something that no write to Azure can bring, and do not say so yet. */
export function blockedAssignments(state: PodState): BlockedAssignment[] {
  return state.matches.flatMap((match) => {
    const current = state.assignments.find((assignment) => assignment.identityKey === match.identity.key);
    if (current?.status !== 'Created') return [];
    const cause = causeOf(match, state);
    if (cause === undefined || current.metadata.annotations?.[annotations.reason] === cause.reason) return [];
    return [{ ...cause, current, match }];
  });
}

function causeOf({ identity }: Match, { notAllowed, federated, scope, providerID }: PodState): Cause | undefined {
  if (identity.type === undefined)
    return {
      reason: 'UnknownType',
      message: `AzureIdentity ${identity.key} has spec.type ${String(identity.object.spec?.type)}: accepted is 0, 1, 2 or 3`,
    };
  if (identity.type === 0 && identity.identityId === undefined) {
    const message = `AzureIdentity ${identity.key} has spec.resourceID '${identity.resourceID}': accepted is ${identityIdForm}`;
    return { reason: 'InvalidResourceID', message };
  }
  if (notAllowed.has(identity.key)) return { reason: 'IdentityNotAllowed', message: notAllowedMessage(identity) };
  return identity.type === 0 && !federated.has(identity.key) ? causeOfNode(scope, providerID) : undefined;
}

function causeOfNode(scope: PodState['scope'], providerID: string | undefined): Cause | undefined {
  if (scope === 'unsupported')
    return {
      reason: 'UnsupportedNode',
      message: `the pod's node has providerID '${providerID}', which is no Azure scale set or virtual machine`,
    };
  if (scope === 'outside')
    return {
      reason: 'UnsupportedNode',
      message: `the pod's node has providerID '${providerID ?? ''}', which lies outside the subscriptions and resource groups of azureScopes`,
    };
  // A node that is not in the cache is no cause: the pod may be cached before its node.
  if (scope === 'pending' && providerID === '')
    return { reason: 'WaitingForNode', message: "the pod's node has no providerID yet, which names its scale set or virtual machine" };
  return undefined;
}

/** Of the pod's namespace: bindings of others are not named. */
export interface UnusedBindings {
  /** It selects the pod and names an AzureIdentity that does not exist. */
  dangling?: Binding | undefined;
  /** It does not select the pod, and may be meant. */
  nearMiss?: Binding | undefined;
}

/** Of a pod that no identity matches. */
export function noBindingMessage({ selector }: Pod, { dangling, nearMiss }: UnusedBindings, rules: MatchRules): string {
  if (dangling !== undefined)
    return `AzureIdentityBinding ${dangling.key} has the selector '${selector}' of this pod, but its AzureIdentity ${dangling.identityKey} does not exist`;
  const hint = nearMiss === undefined ? '' : `: AzureIdentityBinding ${nearMiss.key} has the selector '${nearMiss.selector}'`;
  return `no AzureIdentityBinding with selector '${selector}' gives this pod an AzureIdentity${allowedNamespaces(rules)}${hint}`;
}

function allowedNamespaces({ forceNamespaced, bindingNamespaces }: MatchRules): string {
  if (forceNamespaced) return ' of its own namespace';
  return bindingNamespaces.length === 0 ? '' : ` of its own namespace or of ${bindingNamespaces.join(', ')}`;
}

export const danglingBindingMessage = ({ identityKey, selector }: Binding): string =>
  `AzureIdentity ${identityKey} does not exist, so the binding gives pods with selector '${selector}' nothing`;

const wayOut = "put the AzureIdentity and a binding into the pod's namespace";

/** Of a match beyond the limit of one pod. The pod and its other identities are not named, because they lie in other namespaces. */
export const overLimitMessage = ({ identity, binding }: Match): string =>
  `AzureIdentity ${identity.key} is not given to a pod of another namespace with selector '${binding.selector}', because the pod has ${maxForeignMatches} identities of other namespaces, which is the most: remove older bindings with this selector, or ${wayOut}`;

/** Of a match whose namespace has no more objects for pods of other namespaces. */
export const fullNamespaceMessage = ({ key, namespace }: Identity): string =>
  `AzureIdentity ${key} is not given to another pod, because namespace ${namespace} gives its identities to pods of other namespaces ${maxForeignAssignments} times, which is the most: remove bindings that select pods without need, or ${wayOut}`;
