// Whether each identity of the pod is assigned, by its AzureAssignedIdentity; and why not.
import type { InstallationStatus } from '../../../api/installation-status.ts';
import { annotations } from '../../../api/names.ts';
import type { Assignment } from '../../../lib/identities/assignment.ts';
import { belongsTo } from '../../../lib/identities/assignment.ts';
import type { Identity } from '../../../lib/identities/identity.ts';
import type { Match } from '../../../lib/identities/match.ts';
import type { Pod } from '../../../lib/identities/pod.ts';
import { leaderStatusOf } from '../../cluster/installation.ts';
import type { PodFacts } from '../../cluster/pod-facts.ts';
import type { Finding } from '../../finding.ts';
import { broken, isProblem, passed } from '../../finding.ts';
import { checkLeader } from '../installation/controller.ts';
import { isAssignmentReason, reasonAdvice } from '../reason-advice.ts';
import { unreadable } from '../unreadable.ts';

export function checkAssigned(facts: PodFacts, pod: Pod, matches: readonly Match[], now: Date): Finding[] {
  const { assignments, installation } = facts;
  if (!('value' in assignments) && assignments.why !== 'absent') return [unreadable('assigned identities', assignments)];
  // In managed mode somebody else attaches the identities, and nothing is assigned.
  if (statusOf(facts)?.mode === 'managed') return [passed('managed mode: whoever runs the nodes attaches the identities')];
  const all = 'value' in assignments ? assignments.value : [];
  const leader = installation.release === undefined ? undefined : checkLeader(installation.release, now);
  return matches.map(({ identity }) => {
    const found = all.filter(
      (assignment) => assignment.podKey === pod.key && assignment.identityKey === identity.key && belongsTo(assignment, pod),
    );
    const live = found.find(({ metadata }) => metadata.deletionTimestamp === undefined) ?? found[0];
    return live === undefined ? noAssignment(identity, { leader, status: statusOf(facts) }) : judge(live, identity, leader);
  });
}

export const statusOf = ({ installation }: PodFacts): InstallationStatus | undefined => leaderStatusOf(installation.release);

const check = 'kubectl aad-pod-identity check';

function noAssignment(
  identity: Identity,
  { leader, status }: { leader: Finding | undefined; status: InstallationStatus | undefined },
): Finding {
  const title = `AzureAssignedIdentity for ${identity.key}`;
  if (status?.conflict !== undefined) {
    const code = status.conflict.reason === 'OtherReleaseRuns' ? 'OtherReleaseRuns' : 'UpstreamControllerRuns';
    return broken(code, {
      title,
      message: status.conflict.message,
      advice: 'Scale the other controller down or uninstall it.',
      command: check,
    });
  }
  if (leader !== undefined && isProblem(leader)) return leader;
  return broken('AssignmentMissing', {
    title,
    message: 'the controller has made none for this pod',
    advice: 'Wait a few seconds. If it stays so, see the log of the controller.',
    command: check,
  });
}

function judge(assignment: Assignment, identity: Identity, leader: Finding | undefined): Finding {
  const { metadata, status, namespace, name } = assignment;
  const known = metadata.annotations ?? {};
  const reason = known[annotations.reason];
  const scope = known[annotations.scope];
  const title = `AzureIdentity ${identity.key}`;
  const isFailing = reason !== undefined && isAssignmentReason(reason);
  // An identity that is attached where IMDS is restricted is Assigned, with a reason.
  if (status === 'Assigned' && !isFailing) return passed(`${title} is assigned${scope === undefined ? '' : `, on ${shortId(scope)}`}`);
  const command = `kubectl get azureassignedidentity ${name} -n ${namespace} -o yaml`;
  if (isFailing) {
    const { advice, command: own } = reasonAdvice[reason];
    const retryAt = known[annotations.retryAt];
    const message = `${known[annotations.message] ?? reason}${retryAt === undefined ? '' : `; the next try is at ${retryAt}`}`;
    return broken(reason, { title, message, advice, command: own?.(identity) ?? command });
  }
  if (leader !== undefined && isProblem(leader)) return leader;
  return broken('AssignmentPending', {
    title,
    message: `it is ${status || 'new'}, and nothing is written about why`,
    advice: 'Wait a few seconds. If it stays so, see the log of the controller.',
    command,
  });
}

const shortId = (id: string): string => id.split('/').slice(-2).join(' ');
