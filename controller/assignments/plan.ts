// What has to happen to the AzureAssignedIdentities of one pod: pure, from what should be and what is.
import { isDeepStrictEqual } from 'node:util';
import type { Match } from '../../lib/identities/match.ts';
import type { Assignment, Pod } from '../../lib/identities/objects.ts';
import { belongsTo } from '../../lib/identities/objects.ts';
import { assignmentNamespace } from './naming.ts';

export type AssignmentAction =
  | { kind: 'create'; match: Match }
  /** The object stays, its references or node change; `restart` sets it back to Created because the token it stands for changes. */
  | { kind: 'update'; match: Match; current: Assignment; restart: boolean }
  /** Types 1 and 2 need nothing of Azure. */
  | { kind: 'assign'; match: Match; current: Assignment }
  | { kind: 'release'; current: Assignment };

export interface PodSituation {
  /** Undefined once the pod is gone. */
  pod: Pod | undefined;
  matches: readonly Match[];
  excepted: boolean;
  existing: readonly Assignment[];
  assignUninjected: boolean;
  forceNamespaced: boolean;
}

export function planAssignments(situation: PodSituation): AssignmentAction[] {
  const { pod, existing } = situation;
  if (pod === undefined || pod.finished) return existing.map((current) => ({ kind: 'release', current }));

  const actions: AssignmentAction[] = [];
  const own = existing.filter((assignment) => belongsTo(assignment, pod));
  // hostNetwork and excepted pods are never injected and get their identities as upstream gives them (design 7).
  const mayBegin =
    pod.node !== '' && (pod.injected || pod.hostNetwork || situation.excepted || situation.assignUninjected || own.length > 0);
  const kept = new Set<Assignment>();
  for (const match of situation.matches) {
    // One in another namespace is from before matching became namespaced, or ceased to be; upstream leaves it (spec 1.9, defect 4).
    const namespace = assignmentNamespace(match.identity, situation.forceNamespaced);
    const current = own.find((each) => each.identityKey === match.identity.key && each.namespace === namespace && !kept.has(each));
    if (current === undefined) {
      if (mayBegin) actions.push({ kind: 'create', match });
      continue;
    }
    kept.add(current);
    actions.push(...keep(pod, match, current));
  }
  // First what goes: an identity of the same name in another namespace has an object of the same name, and so has a former pod.
  const gone = existing.filter((assignment) => !kept.has(assignment));
  return [...gone.map((current): AssignmentAction => ({ kind: 'release', current })), ...actions];
}

function keep(pod: Pod, match: Match, current: Assignment): AssignmentAction[] {
  // Somebody deletes it while it is needed: let it go in good order; its disappearance makes a new one.
  if (current.metadata.deletionTimestamp !== undefined) return [{ kind: 'release', current }];
  const { references } = current;
  const before = references.identity?.spec ?? {};
  const after = match.identity.object.spec ?? {};
  const moved = pod.node !== '' && current.node !== pod.node;
  const otherToken =
    (before.type ?? 0) !== (after.type ?? 0) ||
    !sameText(before.resourceID, after.resourceID) ||
    !sameText(before.clientID, after.clientID);
  // Unassigned is on its way out, but the pod matches again; upstream leaves such an object stuck (spec 1.9, defect 1).
  const restart = moved || otherToken || !['Created', 'Assigned'].includes(current.status);
  const stale =
    restart ||
    current.podUid === undefined ||
    current.bindingKey !== match.binding.key ||
    !isDeepStrictEqual(before, after) ||
    !isDeepStrictEqual(references.binding?.spec ?? {}, match.binding.object.spec ?? {});
  if (stale) return [{ kind: 'update', match, current, restart }];
  const { type } = match.identity;
  return (type === 1 || type === 2) && current.status === 'Created' ? [{ kind: 'assign', match, current }] : [];
}

const sameText = (a: string | undefined, b: string | undefined): boolean => (a ?? '').toLowerCase() === (b ?? '').toLowerCase();
