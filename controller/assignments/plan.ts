// What has to happen to the AzureAssignedIdentities of one pod: pure, from its desired and its observed state.
import { isDeepStrictEqual } from 'node:util';
import { annotations, assignedIdentityFinalizer } from '../../api/names.ts';
import type { Assignment } from '../../lib/identities/assignment.ts';
import { belongsTo } from '../../lib/identities/assignment.ts';
import { isFederated } from '../../lib/identities/federation/assignment-mode.ts';
import type { Match } from '../../lib/identities/match.ts';
import { isForeign } from '../../lib/identities/match.ts';
import { mountsDriver } from '../../lib/identities/node-endpoint.ts';
import type { Pod } from '../../lib/identities/pod.ts';
import type { AssignmentReason } from '../../lib/identities/reasons.ts';
import { assignmentNamespace, plainName } from './naming.ts';
import type { PodState } from './pod-state.ts';
import { bindingReferenceSpec, identityReferenceSpec } from './references.ts';

export type AssignmentAction =
  /** `plain`: under the plain name, unless an object of another pod has it. */
  | { kind: 'create'; match: Match; plain: boolean }
  /** Not created, because the namespace of the identity has as many objects for pods of other namespaces as it may have. */
  | { kind: 'refuse'; match: Match }
  /** Writes the current references and node. `restart`: back to Created, because the token that the object stands for changes. */
  | { kind: 'update'; match: Match; current: Assignment; restart: boolean }
  /** Created -> Assigned: an identity of types 1 to 3 is not attached to anything. */
  | { kind: 'assign'; match: Match; current: Assignment }
  | { kind: 'release'; current: Assignment };

export interface PlanRules {
  /** The object lies in the namespace of its identity instead of `default`. */
  forceNamespaced: boolean;
  /** Pods without our sidecar get their identities too. */
  assignUninjected: boolean;
  /** The node endpoint serves pods that mount volumes of these drivers; empty where there is none. */
  nodeEndpointDrivers: readonly string[];
}

export function planAssignments(state: PodState, rules: PlanRules): AssignmentAction[] {
  const { pod, matches, assignments } = state;
  // A kubelet makes its mirror pods itself, in any namespace and with any label: nobody there asked for an identity.
  if (pod === undefined || pod.finished || pod.mirror) return assignments.flatMap(release);

  const own = assignments.filter((assignment) => belongsTo(assignment, pod));
  const mayCreate = pod.node !== '' && (own.length > 0 || mayBegin(pod, state, rules));
  const current = currentAssignments(matches, own, rules);
  if (mayCreate) yieldPlainNames(pod, current, rules);

  const actions = [...current].flatMap(([match, assignment]): AssignmentAction[] => {
    if (assignment !== undefined) return keep(pod, match, assignment, mayBeAssigned(match, assignment, state));
    if (!mayCreate) return [];
    // The object that replaces another one adds none.
    const isReplaced = own.some(({ identityKey }) => identityKey === match.identity.key);
    if (isForeign(match, pod) && state.fullNamespaces.has(match.identity.namespace) && !isReplaced) return [{ kind: 'refuse', match }];
    return [{ kind: 'create', match, plain: isPlain(pod, match, current, rules) }];
  });
  // Releases come first: the object of a former pod, or of an identity that yields its name, holds the name of a new one.
  const kept = new Set(current.values());
  return [...assignments.filter((assignment) => !kept.has(assignment)).flatMap(release), ...actions];
}

/** The object of each match, in the order of the matches. */
type Current = Map<Match, Assignment | undefined>;

function currentAssignments(matches: readonly Match[], own: readonly Assignment[], { forceNamespaced }: PlanRules): Current {
  return new Map(
    matches.map((match) => {
      // After a change of `forceNamespaced` an object lies in the wrong namespace; aad-pod-identity leaves such objects behind.
      const namespace = assignmentNamespace(match.identity, forceNamespaced);
      return [match, own.find((each) => each.identityKey === match.identity.key && each.namespace === namespace)];
    }),
  );
}

/** Takes from an identity of another namespace the object whose name belongs to an identity of the pod's own namespace. */
function yieldPlainNames(pod: Pod, current: Current, rules: PlanRules): void {
  for (const [match, assignment] of current) {
    if (assignment !== undefined || isForeign(match, pod)) continue;
    const key = plainKey(pod, match, rules);
    for (const [other, held] of current) if (held?.key === key) current.set(other, undefined);
  }
}

/** The first match with the name gets it, unless another one has it already. Those of the pod's own namespace come first. */
function isPlain(pod: Pod, match: Match, current: Current, rules: PlanRules): boolean {
  const key = plainKey(pod, match, rules);
  const first = [...current.keys()].find((other) => plainKey(pod, other, rules) === key);
  return first === match && ![...current.values()].some((held) => held?.key === key);
}

const plainKey = (pod: Pod, { identity }: Match, { forceNamespaced }: PlanRules): string =>
  `${assignmentNamespace(identity, forceNamespaced)}/${plainName(pod, identity)}`;

/**
 * Pods of the host network and excepted pods have no sidecar and get their identities as from aad-pod-identity. A pod that is opted out on purpose
 * needs none where only its volumes need tokens.
 */
const mayBegin = (pod: Pod, { excepted }: PodState, { assignUninjected, nodeEndpointDrivers }: PlanRules): boolean =>
  pod.injected || pod.hostNetwork || excepted || assignUninjected || (pod.optedOut && mountsDriver(pod, nodeEndpointDrivers));

/** Settings can forbid what was assigned before them. What is federated still, though it is to be attached, does not depend on the node yet. */
const mayBeAssigned = ({ identity }: Match, current: Assignment, { notAllowed, federated, scope }: PodState): boolean =>
  !notAllowed.has(identity.key) &&
  (scope !== 'outside' || identity.type !== 0 || federated.has(identity.key) || isFederated(current, identity.identityId ?? ''));

function keep(pod: Pod, match: Match, current: Assignment, isPermitted: boolean): AssignmentAction[] {
  // Somebody deleted the object. The event of its disappearance creates a new one.
  if (current.metadata.deletionTimestamp !== undefined) return release(current);
  const { references } = current;
  // Both as they are written: what the object does not hold is no difference.
  const before = identityReferenceSpec(references.identity?.spec);
  const after = identityReferenceSpec(match.identity.object.spec);
  const hasMoved = pod.node !== '' && current.node !== pod.node;
  const hasOtherToken =
    (before.type ?? 0) !== (after.type ?? 0) ||
    !isSameText(before.resourceID, after.resourceID) ||
    !isSameText(before.clientID, after.clientID);
  // The object says Assigned, or that the policy refuses it, and that is no longer so.
  const hasOtherRight = isPermitted ? saysNotAllowed(current) : current.status === 'Assigned';
  // The last: an Unassigned object whose pod matches again. aad-pod-identity leaves such an object as it is.
  const restart = hasMoved || hasOtherToken || hasOtherRight || !['Created', 'Assigned'].includes(current.status);
  const isStale =
    restart ||
    current.podUid === undefined ||
    current.bindingKey !== match.binding.key ||
    !isDeepStrictEqual(before, after) ||
    !isDeepStrictEqual(bindingReferenceSpec(references.binding?.spec), bindingReferenceSpec(match.binding.object.spec));
  if (isStale) return [{ kind: 'update', match, current, restart }];
  const { type } = match.identity;
  return (type === 1 || type === 2 || type === 3) && current.status === 'Created' && isPermitted
    ? [{ kind: 'assign', match, current }]
    : [];
}

/** None for an object that is released already and that a finalizer of somebody else still holds. */
function release(current: Assignment): AssignmentAction[] {
  const { deletionTimestamp, finalizers = [] } = current.metadata;
  const isReleased = deletionTimestamp !== undefined && !finalizers.includes(assignedIdentityFinalizer);
  return isReleased ? [] : [{ kind: 'release', current }];
}

const notAllowedReason: AssignmentReason = 'IdentityNotAllowed';
const saysNotAllowed = ({ metadata }: Assignment): boolean => metadata.annotations?.[annotations.reason] === notAllowedReason;

const isSameText = (a: string | undefined, b: string | undefined): boolean => (a ?? '').toLowerCase() === (b ?? '').toLowerCase();
