// What the AzureAssignedIdentities say of the roles of the controller, and of identities that Azure refuses.
import { annotations } from '../../../api/names.ts';
import type { Assignment } from '../../../lib/identities/assignment.ts';
import { isTerminal } from '../../../lib/identities/reasons.ts';
import type { Installation } from '../../cluster/installation.ts';
import type { Finding } from '../../finding.ts';
import { broken, passed, warning } from '../../finding.ts';
import { isAssignmentReason, reasonAdvice } from '../reason-advice.ts';
import { unreadable } from '../unreadable.ts';

export function checkIdentities({ assignments }: Installation): Finding[] {
  if (!('value' in assignments)) return assignments.why === 'absent' ? [] : [unreadable('AzureAssignedIdentities', assignments)];
  const byReason = Map.groupBy(assignments.value, (assignment) => (assignment.status === 'Assigned' ? '' : reasonOf(assignment)));
  const problems = [...byReason].flatMap(([reason, waiting]) => checkReason(reason, waiting));
  const assigned = byReason.get('')?.length ?? 0;
  const onTheWay = assignments.value.length - assigned;
  if (problems.length > 0) return problems;
  return [passed(`AzureAssignedIdentities: ${assigned} assigned${onTheWay === 0 ? '' : `, ${onTheWay} on the way`}`)];
}

const reasonOf = ({ metadata }: Assignment): string => metadata.annotations?.[annotations.reason] ?? 'none';

/** A reason that ends by itself is no problem of the installation. */
function checkReason(reason: string, waiting: readonly Assignment[]): Finding[] {
  const [first] = waiting;
  if (first === undefined || !isTerminal(reason) || !isAssignmentReason(reason)) return [];
  const details = {
    title: `AzureAssignedIdentity ${first.name}${waiting.length === 1 ? '' : ` and ${waiting.length - 1} more`}`,
    message: `${first.metadata.annotations?.[annotations.message] ?? reason}`,
    advice: reasonAdvice[reason].advice,
    command: 'kubectl aad-pod-identity list -A',
  };
  // A role is for whoever installs; the other reasons are about one AzureIdentity.
  return [reason === 'MissingRole' ? broken(reason, details) : warning(reason, details)];
}

/** `namespace/name` of the AzureIdentities that have a resource id, as the assigned ones say; empty where none is known. */
export function identityNames({ assignments }: Installation, resourceId: string): string[] {
  const all = 'value' in assignments ? assignments.value : [];
  const found = all.filter(({ references }) => String(references.identity?.spec?.resourceID ?? '').toLowerCase() === resourceId);
  return [...new Set(found.map(({ identityKey }) => identityKey))].sort();
}
