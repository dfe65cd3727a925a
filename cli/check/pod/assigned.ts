// Whether each identity of the pod is assigned, by its AzureAssignedIdentity; and why not.
import type { InstallationStatus } from '../../../api/installation-status.ts';
import { annotations } from '../../../api/names.ts';
import type { Assignment } from '../../../lib/identities/assignment.ts';
import { belongsTo } from '../../../lib/identities/assignment.ts';
import type { Identity } from '../../../lib/identities/identity.ts';
import type { Match } from '../../../lib/identities/match.ts';
import type { Pod } from '../../../lib/identities/pod.ts';
import type { AssignmentReason } from '../../../lib/identities/reasons.ts';
import { metadataOf } from '../../../lib/kube/objects.ts';
import { leaderStatusOf } from '../../cluster/installation.ts';
import type { PodFacts } from '../../cluster/pod-facts.ts';
import type { Finding } from '../../finding.ts';
import { broken, isBroken, passed, skipped, waiting } from '../../finding.ts';
import { checkConflict, checkLeader } from '../installation/controller.ts';
import { isAssignmentReason, reasonAdvice } from '../reason-advice.ts';
import { unreadable } from '../unreadable.ts';
import { isUnderWay } from './under-way.ts';

/** What judges all assignments of a pod. */
interface Context {
  /** RFC 3339. */
  podCreated: string | undefined;
  /** Undefined where it is not known where the chart is installed. */
  leader: Finding | undefined;
  status: InstallationStatus | undefined;
  now: Date;
}

export function checkAssigned(facts: PodFacts, pod: Pod, matches: readonly Match[], now: Date): Finding[] {
  const { assignments, installation } = facts;
  if (pod.node === '') return [skipped('assigned identities: the pod has no node yet')];
  if (!('value' in assignments) && assignments.why !== 'absent') return [unreadable('assigned identities', assignments)];
  const status = statusOf(facts);
  // In managed mode somebody else attaches the identities, and nothing is assigned.
  if (status?.mode === 'managed') return [passed('managed mode: whoever runs the nodes attaches the identities')];
  const all = 'value' in assignments ? assignments.value : [];
  const leader = installation.release === undefined ? undefined : checkLeader(installation.release, now);
  const podCreated = createdAt(facts);
  const context = { podCreated, leader, status, now };
  return matches.map((match) => {
    const assignment = assignmentFor(pod, match.identity.key, all);
    return assignment === undefined ? judgeMissing(match, context) : judge(assignment, match.identity, context);
  });
}

/** RFC 3339. */
export const createdAt = ({ pod }: PodFacts): string | undefined => ('value' in pod ? metadataOf(pod.value).creationTimestamp : undefined);

export const statusOf = ({ installation }: PodFacts): InstallationStatus | undefined => leaderStatusOf(installation.release);

/** One that is being deleted only where there is no other. */
export function assignmentFor(pod: Pod, identityKey: string, assignments: readonly Assignment[]): Assignment | undefined {
  const found = assignments.filter(
    (assignment) => assignment.podKey === pod.key && assignment.identityKey === identityKey && belongsTo(assignment, pod),
  );
  return found.find(({ metadata }) => metadata.deletionTimestamp === undefined) ?? found[0];
}

function judgeMissing({ identity, binding }: Match, { podCreated, leader, status, now }: Context): Finding {
  const title = `AzureAssignedIdentity for ${identity.key}`;
  const [conflict] = status === undefined ? [] : checkConflict(status);
  if (conflict !== undefined) return conflict;
  if (leader !== undefined && isBroken(leader)) return leader;
  const details = { title, message: 'the controller has made none for this pod', command: 'kubectl aad-pod-identity check' };
  const began = [podCreated, binding.object.metadata.creationTimestamp, identity.object.metadata.creationTimestamp];
  return isUnderWay(began, now)
    ? waiting('AssignmentMissing', { ...details, message: `${details.message} yet`, advice: 'Wait a few seconds.' })
    : broken('AssignmentMissing', { ...details, advice: 'See the log of the controller.' });
}

/** They are stages on the way, and other reasons are faults: a person or Azure must do something. */
const stages: ReadonlySet<string> = new Set<AssignmentReason>(['Attaching', 'Federating']);

function judge(assignment: Assignment, identity: Identity, { leader, now }: Context): Finding {
  const { metadata, status, namespace, name } = assignment;
  const known = metadata.annotations ?? {};
  const reason = known[annotations.reason];
  const scope = known[annotations.scope];
  const title = `AzureIdentity ${identity.key}`;
  const command = `kubectl get azureassignedidentity ${name} -n ${namespace} -o yaml`;
  const mayWait = isUnderWay([metadata.creationTimestamp], now);
  // An identity that is attached where IMDS is restricted is Assigned, with a reason.
  if (reason !== undefined && isAssignmentReason(reason)) {
    const { advice, command: own } = reasonAdvice[reason];
    const retryAt = known[annotations.retryAt];
    const message = `${known[annotations.message] ?? reason}${retryAt === undefined ? '' : `; the next try is at ${retryAt}`}`;
    const tell = mayWait && stages.has(reason) ? waiting : broken;
    return tell(reason, { title, message, advice, command: own?.(identity) ?? command });
  }
  if (status === 'Assigned') return passed(`${title} is assigned${scope === undefined ? '' : `, on ${shortId(scope)}`}`);
  if (leader !== undefined && isBroken(leader)) return leader;
  const state = `it is ${status || 'new'}`;
  return mayWait
    ? waiting('AssignmentPending', {
        title,
        message: `${state}: Azure is at work`,
        advice: 'Wait: Azure takes up to a minute for a scale set.',
        command,
      })
    : broken('AssignmentPending', {
        title,
        message: `${state}, and nothing is written about why`,
        advice: 'See the log of the controller.',
        command,
      });
}

const shortId = (id: string): string => id.split('/').slice(-2).join(' ');
