// Writes on the AzureAssignedIdentities of one federated identity how it stands, with Events.
import { annotations } from '../../api/names.ts';
import type { Clock } from '../../common/clock.ts';
import type { Assignment } from '../../lib/identities/assignment.ts';
import { isFederated } from '../../lib/identities/federation/assignment-mode.ts';
import type { FederationRecord } from '../../lib/identities/federation/record.ts';
import type { Need } from '../../lib/identities/need.ts';
import type { EventReason } from '../../lib/identities/reasons.ts';
import { regardingBinding, regardingIdentity, regardingPod } from '../../lib/identities/regarding.ts';
import type { EventRecorder } from '../../lib/kube/events.ts';
import type { NeedStatusContext } from '../need-status.ts';
import { clientIdMismatchMessage, forEachNeed, hasReason, isSameId, updateIfChanged } from '../need-status.ts';
import type { Failure } from './failure.ts';

export interface StatusContext extends NeedStatusContext {
  events: EventRecorder<EventReason>;
  clock: Clock;
}

/**
 * Created -> Assigned for an identity whose credential is proven. Objects that are Assigned on a scope change their side here, and those whose identity
 * was recreated get its new ids.
 */
export const writeAssigned = (context: StatusContext, needs: readonly Need[], record: FederationRecord): Promise<void> =>
  forEachNeed(needs, async (need) => {
    const current = context.assignmentOf(need);
    if (current === undefined || need.keepOnly === true || !isOutdated(current, record)) return;
    const { identity } = need.match;
    if (identity.clientID !== '' && !isSameId(identity.clientID, record.clientId)) return refuseClientId(context, need, current, record);
    await context.statuses.updateStatus(current, 'Assigned', {
      scope: identity.resourceID,
      clientId: record.clientId,
      objectId: record.objectId,
      assignedAt: new Date(context.clock.wall()).toISOString(),
      reason: null,
      message: null,
      retryAt: null,
    });
    recordFederated(context, need, current);
  });

function isOutdated({ status, metadata }: Assignment, record: FederationRecord): boolean {
  if (status === 'Created') return true;
  const { [annotations.clientId]: clientId, [annotations.objectId]: objectId } = metadata.annotations ?? {};
  const isCurrent =
    isFederated({ metadata }, record.identity) && isSameId(clientId, record.clientId) && isSameId(objectId, record.objectId);
  return status === 'Assigned' && !isCurrent;
}

export interface FailedStatus {
  failure: Failure;
  /** Milliseconds since the epoch. */
  until: number;
  /** The credential is known to be absent: objects that count on it go back to Created. */
  lost: boolean;
  /** Only on objects that do not say yet why they wait. */
  silentOnly?: boolean;
}

export const writeFailed = (context: StatusContext, needs: readonly Need[], status: FailedStatus): Promise<void> =>
  forEachNeed(needs, async (need) => {
    const current = context.assignmentOf(need);
    if (current === undefined || (status.silentOnly === true && hasReason(current))) return;
    const { reason, message } = status.failure;
    const { identityId } = need;
    const isLost = status.lost && current.status === 'Assigned' && isFederated(current, identityId);
    const retryAt = new Date(status.until).toISOString();
    // An object that is to be attached is written by the scopes, unless it counts on the credential still.
    if (need.keepOnly === true && !isLost) return;
    if (isLost || current.status === 'Created') {
      const isNew = await updateIfChanged(context, current, { reason, message, retryAt }, isLost ? 'Created' : undefined);
      if (isNew) recordFailure(context, need, status.failure, retryAt);
      return;
    }
    // It is attached and stays so until it can be federated.
    if (!isFederated(current, identityId)) recordFailure(context, need, status.failure, retryAt);
  });

async function refuseClientId(context: StatusContext, need: Need, current: Assignment, { clientId }: FederationRecord): Promise<void> {
  const { identity, binding } = need.match;
  const message = clientIdMismatchMessage(identity, clientId);
  const status = current.status === 'Assigned' ? 'Created' : undefined;
  if (!(await updateIfChanged(context, current, { reason: 'ClientIDMismatch', message }, status))) return;
  const { events } = context;
  events.record(regardingIdentity(identity), 'Warning', 'ClientIDMismatch', message);
  events.record(regardingBinding(binding), 'Warning', 'binding apply error', message);
  events.record(regardingPod(need.pod), 'Warning', 'ClientIDMismatch', message);
}

function recordFederated({ events, clock }: StatusContext, need: Need, before: Assignment): void {
  const { binding, identity } = need.match;
  const same = `${need.pod.key} ${need.identityId}`;
  const applied = `Binding ${binding.name} applied on node ${need.pod.node} for pod ${need.pod.name}`;
  events.record(regardingBinding(binding), 'Normal', 'binding applied', applied, `applied ${same}`);
  const seconds = Math.max(0, Math.round((clock.wall() - Date.parse(before.metadata.creationTimestamp ?? '')) / 1000));
  const took = before.status !== 'Created' || Number.isNaN(seconds) ? '' : ` after ${seconds} s`;
  const { injected } = need.pod;
  const how = injected
    ? `its tokens come through the broker${took}`
    : 'IMDS does not know it, and this pod has no token proxy, so only a node endpoint can give it tokens';
  const message = `AzureIdentity ${identity.key} is federated: ${how}`;
  events.record(regardingPod(need.pod), injected ? 'Normal' : 'Warning', 'Federated', message, `federated ${need.identityId}`);
}

function recordFailure({ events }: StatusContext, need: Need, { reason, message }: Failure, retryAt: string): void {
  const { binding, identity } = need.match;
  const place = `binding ${binding.key} node ${need.pod.node} for pod ${need.pod.key}`;
  events.record(regardingBinding(binding), 'Warning', 'binding apply error', `failed to apply ${place}, error: ${message}`);
  const text = `AzureIdentity ${identity.key} waits: ${message}; next try at ${retryAt}`;
  events.record(regardingPod(need.pod), 'Warning', reason, text, `${identity.key} ${reason}`);
  events.record(regardingIdentity(identity), 'Warning', reason, message, `${identity.key} ${reason}`);
}
