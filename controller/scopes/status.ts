// Writes on the AzureAssignedIdentities of a scope how it stands with their identities.
import type { AssignmentStatus } from '../../api/kinds.ts';
import { annotations } from '../../api/names.ts';
import { redactIdentities } from '../../lib/azure/resource-ids.ts';
import type { Assignment } from '../../lib/identities/assignment.ts';
import { isFederated } from '../../lib/identities/federation/assignment-mode.ts';
import type { Need } from '../../lib/identities/need.ts';
import type { AssignmentReason } from '../../lib/identities/reasons.ts';
import type { AttachedIdentity } from '../azure/arm/identity-map.ts';
import type { NeedStatusContext } from '../need-status.ts';
import { clientIdMismatchMessage, forEachNeed, isSameId, updateIfChanged } from '../need-status.ts';
import type { EventContext } from './events.ts';
import { ownIdentities, recordAttached, recordClientIdMismatch, recordFailure, recordRestricted } from './events.ts';
import type { FailureStatus } from './failure-status.ts';
import type { Attached } from './observed-state.ts';

export interface StatusContext extends EventContext, NeedStatusContext {
  /** AKS keeps pods away from IMDS on the nodes of the scope. */
  isImdsRestricted(): boolean;
}

/** An object that Azure may still do something for; one whose clientID is wrong waits for its author. */
export function isWaiting(assignment: Assignment | undefined, need: Need): boolean {
  const mismatch: AssignmentReason = 'ClientIDMismatch';
  return (
    (assignment?.status !== 'Assigned' || isUpstream(assignment) || isOtherSide(assignment, need)) &&
    assignment?.metadata.annotations?.[annotations.reason] !== mismatch
  );
}

/** Assigned as a federated identity that is to be attached now. It changes its side once that is done, and keeps it until then. */
export const isOtherSide = (assignment: Assignment | undefined, { identityId, keepOnly }: Need): boolean =>
  assignment?.status === 'Assigned' && keepOnly !== true && isFederated(assignment, identityId);

/** Ids that an aad-pod-identity controller attached for these needs. */
export function attachedByUpstream(context: StatusContext, needs: readonly Need[], attached: Attached): string[] {
  const taken = needs.filter((need) => attached.has(need.identityId) && isUpstream(context.assignmentOf(need)));
  return [...new Set(taken.map((need) => need.identityId))];
}

/**
 * Created -> Assigned for what the scope has, with the ids that Azure reports. Objects that aad-pod-identity assigned get the ids only, and so do those
 * whose identity was recreated.
 */
export const writeAttachedStatus = (context: StatusContext, needs: readonly Need[], attached: Attached): Promise<void> =>
  forEachNeed(needs, async (need) => {
    const current = context.assignmentOf(need);
    const present = attached.get(need.identityId);
    if (current === undefined || present === undefined || present === null) return;
    const upstream = isUpstream(current);
    const switched = isOtherSide(current, need);
    // What it keeps here says nothing of an object that is federated by now.
    if (current.status === 'Assigned' && isFederated(current, need.identityId) && !switched) return;
    const recreated = !switched && isRecreated(current, present);
    if (!(upstream || recreated || switched || current.status === 'Created')) return writeRestriction(context, need, current);
    const { clientID } = need.match.identity;
    if (clientID !== '' && !isSameId(clientID, present.clientId))
      return refuseClientId(context, need, current, { clientId: present.clientId, status: upstream || recreated ? 'Created' : undefined });
    const ids = { scope: context.scope.displayId, clientId: present.clientId, objectId: present.principalId };
    if (upstream) return context.statuses.updateStatus(current, undefined, ids);
    const assignedAt = new Date(context.clock.wall()).toISOString();
    if (recreated) return context.statuses.updateStatus(current, undefined, { ...ids, assignedAt });
    const { reason, message } = restrictionOf(context, need) ?? { reason: null, message: null };
    await context.statuses.updateStatus(current, 'Assigned', { ...ids, assignedAt, reason, message, retryAt: null });
    recordAttached(context, need, current);
    if (message !== null) recordRestricted(context, need, message);
  });

const restrictedReason: AssignmentReason = 'ImdsRestricted';

/** Undefined for pods that reach IMDS. */
function restrictionOf(
  context: StatusContext,
  { match: { identity }, pod }: Need,
): { reason: AssignmentReason; message: string } | undefined {
  if (pod.hostNetwork || !context.isImdsRestricted()) return undefined;
  const message =
    `${context.scope.displayId} has the IMDS restriction of AKS, which drops what pods send to IMDS, so tokens of attached identities cannot be had ` +
    `there: federate the identity (kubectl annotate azureidentity ${identity.name} -n ${identity.namespace} ${annotations.assignment}=federate), or ` +
    'switch the restriction off (az aks update --disable-imds-restriction)';
  return { reason: restrictedReason, message };
}

/** An Assigned object says so besides: whether a tag speaks the truth, only IMDS shows. */
async function writeRestriction(context: StatusContext, need: Need, current: Assignment): Promise<void> {
  if (current.status !== 'Assigned') return;
  const restriction = restrictionOf(context, need);
  const isWritten = current.metadata.annotations?.[annotations.reason] === restrictedReason;
  if (isWritten === (restriction !== undefined)) return;
  await context.statuses.updateStatus(current, undefined, restriction ?? { reason: null, message: null });
  if (restriction !== undefined) recordRestricted(context, need, restriction.message);
}

/** `until` of a failure becomes the annotation `retry-at`. */
export interface FailedStatus extends Omit<FailureStatus, 'until'> {
  until?: number;
  /** Nothing failed: an operation of Azure has not ended yet. */
  isUnderWay?: boolean;
}

/**
 * Writes the failure on the waiting objects of these needs. `attached`: what the scope has, where that is known; an object that is Assigned for what
 * the scope does not have goes back to Created.
 */
export const writeFailedStatus = (
  context: StatusContext,
  needs: readonly Need[],
  failureOf: (identityId: string) => FailedStatus | undefined,
  attached?: Attached,
): Promise<void> => {
  const isOwn = ownIdentities(needs);
  return forEachNeed(needs, async (need) => {
    const current = context.assignmentOf(need);
    const failure = failureOf(need.identityId);
    if (current === undefined || failure === undefined) return;
    const { reason, until } = failure;
    const message = redactIdentities(failure.message, isOwn(need.match.identity.namespace));
    // Another writer that was faster for a moment takes no assignment back.
    const isHere = current.status === 'Assigned' && !isFederated(current, need.identityId);
    const isLost = isHere && attached?.has(need.identityId) === false && reason !== 'Attaching';
    const retryAt = until === undefined ? null : new Date(until).toISOString();
    // It keeps its side, so only the pod is told.
    if (isOtherSide(current, need)) return recordFailure(context, need, { reason, message, retryAt, isNew: false });
    if (!(isLost || current.status === 'Created')) return;
    const isNew = await updateIfChanged(context, current, { reason, message, retryAt }, isLost ? 'Created' : undefined);
    recordFailure(context, need, { reason, message, retryAt, isNew: isNew && failure.isUnderWay !== true });
  });
};

async function refuseClientId(
  context: StatusContext,
  need: Need,
  current: Assignment,
  { clientId, status }: { clientId: string; status: AssignmentStatus | undefined },
): Promise<void> {
  const { identity } = need.match;
  const message = clientIdMismatchMessage(identity, clientId);
  if (await updateIfChanged(context, current, { reason: 'ClientIDMismatch', message }, status))
    recordClientIdMismatch(context, need, message);
}

/** Assigned by aad-pod-identity, which leaves no annotation of ours: its identity was attached before we came. */
const isUpstream = (assignment: Assignment | undefined): boolean =>
  assignment?.status === 'Assigned' && assignment.metadata.annotations?.[annotations.scope] === undefined;

/** Attached under other ids than the annotations say: the identity was deleted and made anew since. */
const isRecreated = ({ status, metadata: { annotations: known = {} } }: Assignment, present: NonNullable<AttachedIdentity>): boolean =>
  status === 'Assigned' &&
  known[annotations.scope] !== undefined &&
  !(isSameId(known[annotations.clientId], present.clientId) && isSameId(known[annotations.objectId], present.principalId));
