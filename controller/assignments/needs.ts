// Which identities one pod needs, on its scope and as federated ones: pure.

import type { Assignment } from '../../lib/identities/assignment.ts';
import { belongsTo } from '../../lib/identities/assignment.ts';
import { bindingOf } from '../../lib/identities/binding.ts';
import { isFederated } from '../../lib/identities/federation/assignment-mode.ts';
import { identityOf } from '../../lib/identities/identity.ts';
import type { Match } from '../../lib/identities/match.ts';
import type { Need } from '../../lib/identities/need.ts';
import type { Pod } from '../../lib/identities/pod.ts';
import type { AssignmentAction } from './plan.ts';
import type { PodState } from './pod-state.ts';

export interface PodNeeds {
  /** On the scope of the pod. */
  readonly attached: Need[];
  readonly federated: Need[];
}

/**
 * A pod needs the identities of its objects and of those that the plan creates, but for those that identityPolicy refuses.
 *
 * A living pod also needs an identity whose object is Assigned and that the plan releases or restarts, until the object is no longer Assigned.
 * So no object says Assigned while Azure detaches its identity. For the same reason an object that is Assigned on the one side, while its identity is
 * switched to the other, keeps what it has.
 */
export function needsOfPod(state: PodState, plan: readonly AssignmentAction[]): PodNeeds {
  const needs: PodNeeds = { attached: [], federated: [] };
  const { pod, matches, notAllowed, assignments } = state;
  if (pod === undefined) return needs;
  for (const match of matches) {
    const { identityId, key } = match.identity;
    if (identityId === undefined || notAllowed.has(key) || !hasObject(match, assignments, plan)) continue;
    (state.federated.has(key) ? needs.federated : needs.attached).push({ pod, match, identityId });
  }
  if (pod.finished) return needs;
  const keep = (current: Assignment): void => {
    const need = needOfAssigned(current, pod);
    if (need === undefined) return;
    const side = isFederated(current, need.identityId) ? needs.federated : needs.attached;
    if (!side.some(({ identityId }) => identityId === need.identityId)) side.push(need);
  };
  for (const action of plan) if (isLeaving(action)) keep(action.current);
  for (const current of assignments) if (isSwitching(current, matches, state.federated)) keep(current);
  return needs;
}

function hasObject(match: Match, assignments: readonly Assignment[], plan: readonly AssignmentAction[]): boolean {
  const released = new Set(plan.flatMap((action) => (action.kind === 'release' ? [action.current] : [])));
  const stays = (assignment: Assignment) => assignment.metadata.deletionTimestamp === undefined && !released.has(assignment);
  return (
    plan.some((action) => action.kind !== 'release' && action.kind !== 'refuse' && action.match === match) ||
    assignments.some((assignment) => assignment.identityKey === match.identity.key && stays(assignment))
  );
}

/** The action removes the object, or gives it another identity or node. */
const isLeaving = (action: AssignmentAction): action is Extract<AssignmentAction, { kind: 'release' | 'update' }> =>
  action.kind === 'release' || (action.kind === 'update' && action.restart);

/** The object is Assigned on the other side than its AzureIdentity asks for now. */
function isSwitching(current: Assignment, matches: readonly Match[], federated: ReadonlySet<string>): boolean {
  const identity = matches.find((match) => match.identity.key === current.identityKey)?.identity;
  return identity?.identityId !== undefined && isFederated(current, identity.identityId) !== federated.has(identity.key);
}

/** What the object was assigned for. Undefined for one that is not Assigned, or that belongs to a former pod of this name. */
function needOfAssigned(current: Assignment, pod: Pod): Need | undefined {
  if (current.status !== 'Assigned' || !belongsTo(current, pod)) return undefined;
  const identity = identityOf(current.references.identity);
  const binding = bindingOf(current.references.binding);
  if (identity?.identityId === undefined || binding === undefined) return undefined;
  return { pod, match: { identity, binding }, identityId: identity.identityId, keepOnly: true };
}
