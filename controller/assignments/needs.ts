// Which identities one pod needs on its scope: pure.

import type { Assignment } from '../../lib/identities/assignment.ts';
import { belongsTo } from '../../lib/identities/assignment.ts';
import { bindingOf } from '../../lib/identities/binding.ts';
import { identityOf } from '../../lib/identities/identity.ts';
import type { Match } from '../../lib/identities/match.ts';
import type { Need } from '../../lib/identities/need.ts';
import type { Pod } from '../../lib/identities/pod.ts';
import type { AssignmentAction } from './plan.ts';
import type { PodState } from './pod-state.ts';

/**
 * A pod needs the identities of its objects and of those that the plan creates, but for those that identityPolicy refuses.
 *
 * A living pod also needs an identity whose object is Assigned and that the plan releases or restarts, until the object is no longer Assigned.
 * So no object says Assigned while Azure detaches its identity.
 */
export function needsOfPod({ pod, matches, notAllowed, assignments }: PodState, plan: readonly AssignmentAction[]): Need[] {
  if (pod === undefined) return [];
  const needs = matches.flatMap((match): Need[] => {
    const { identityId, key } = match.identity;
    return identityId !== undefined && !notAllowed.has(key) && hasObject(match, assignments, plan) ? [{ pod, match, identityId }] : [];
  });
  if (pod.finished) return needs;
  for (const action of plan) {
    const need = isLeaving(action) ? needOfAssigned(action.current, pod) : undefined;
    if (need !== undefined && !needs.some(({ identityId }) => identityId === need.identityId)) needs.push(need);
  }
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

/** What the object was assigned for. Undefined for one that is not Assigned, or that belongs to a former pod of this name. */
function needOfAssigned(current: Assignment, pod: Pod): Need | undefined {
  if (current.status !== 'Assigned' || !belongsTo(current, pod)) return undefined;
  const identity = identityOf(current.references.identity);
  const binding = bindingOf(current.references.binding);
  if (identity?.identityId === undefined || binding === undefined) return undefined;
  return { pod, match: { identity, binding }, identityId: identity.identityId, keepOnly: true };
}
