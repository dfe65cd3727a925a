// How an AzureIdentity of type 0 reaches pods: attached to their scale set or VM, or by a federated credential (docs/adr/0030-federated-assignment.md).
// Pure, and the same in the controller and in the broker.
import { annotations } from '../../../api/names.ts';
import type { Assignment } from '../assignment.ts';
import type { Identity } from '../identity.ts';

export type AssignmentMode = 'attach' | 'federate';

export interface AssignmentModeRules {
  /** What holds without the annotation. `federate` is a floor: the annotation `attach` counts in `assignmentOverrides` only. */
  assignment: AssignmentMode;
  /** Names of namespaces. */
  assignmentOverrides: readonly string[];
}

/** Undefined for types 1 to 3 and for an unknown type: nothing of theirs is assigned in Azure. */
export function assignmentModeOf(identity: Identity, rules: AssignmentModeRules): AssignmentMode | undefined {
  if (identity.type !== 0) return undefined;
  const annotated = annotationOf(identity);
  if (annotated === 'federate') return 'federate';
  if (annotated === 'attach' && mayAttach(identity, rules)) return 'attach';
  return rules.assignment;
}

/** Why the annotation does not count, with what to do. Undefined where it counts or is absent. */
export function assignmentProblemOf(identity: Identity, rules: AssignmentModeRules): string | undefined {
  const annotated = annotationOf(identity);
  if (annotated === undefined || identity.type !== 0) return undefined;
  const place = `AzureIdentity ${identity.key} has the annotation ${annotations.assignment}: '${annotated.slice(0, 63)}'`;
  if (annotated !== 'attach' && annotated !== 'federate')
    return `${place}: accepted is attach or federate, and ${rules.assignment} applies`;
  if (annotated === 'federate' || mayAttach(identity, rules)) return undefined;
  return `${place}, which does not count: assignment is federate in this cluster, and assignmentOverrides does not have namespace ${identity.namespace}`;
}

/**
 * Where the tokens of an Assigned object come from. The object's own scope decides, not the mode: while an identity is switched, each object changes
 * once its other side is ready.
 */
export const isFederated = ({ metadata }: Pick<Assignment, 'metadata'>, identityId: string): boolean =>
  metadata.annotations?.[annotations.scope]?.toLowerCase() === identityId;

const annotationOf = ({ object }: Identity): string | undefined => object.metadata.annotations?.[annotations.assignment];

const mayAttach = ({ namespace }: Identity, { assignment, assignmentOverrides }: AssignmentModeRules): boolean =>
  assignment === 'attach' || assignmentOverrides.includes(namespace);
