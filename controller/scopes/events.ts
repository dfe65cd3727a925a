// Events about the identities of a scope: on pods, bindings and AzureIdentities.
import type { Clock } from '../../common/clock.ts';
import type { Scope } from '../../lib/azure/resource-ids.ts';
import { redactIdentities } from '../../lib/azure/resource-ids.ts';
import type { Assignment } from '../../lib/identities/assignment.ts';
import type { Need } from '../../lib/identities/need.ts';
import type { AssignmentReason, EventReason } from '../../lib/identities/reasons.ts';
import { regardingBinding, regardingIdentity, regardingPod } from '../../lib/identities/regarding.ts';
import type { EventRecorder } from '../../lib/kube/events.ts';
import type { HeldEntry } from './quarantine.ts';

export interface EventContext {
  scope: Scope;
  events: EventRecorder<EventReason>;
  clock: Clock;
}

/** On each waiting pod of these identities: a write of theirs begins. */
export function recordAttaching(context: EventContext, needs: readonly Need[]): void {
  const reason: AssignmentReason = 'Attaching';
  for (const need of needs) {
    const text = `is being attached to ${context.scope.displayId}`;
    recordOnPod(context, need, { type: 'Normal', reason, text, same: `attaching ${need.identityId}` });
  }
}

/** On each AzureIdentity that is kept out of writes. `quarantineOf`: by lower-case id. */
export function recordQuarantined(
  context: EventContext,
  needs: readonly Need[],
  quarantineOf: (identityId: string) => HeldEntry | undefined,
  cause: string,
): void {
  const recorded = new Set<string>();
  const isOwn = ownIdentities(needs);
  for (const { match, identityId } of needs) {
    const quarantine = quarantineOf(identityId);
    if (quarantine === undefined || recorded.has(match.identity.key)) continue;
    recorded.add(match.identity.key);
    const until = new Date(quarantine.until).toISOString();
    const message = `left out of writes to ${context.scope.displayId} until ${until}, so that it does not hold up others: ${redactIdentities(cause, isOwn(match.identity.namespace))}`;
    context.events.record(
      regardingIdentity(match.identity),
      'Warning',
      'Quarantined',
      message,
      `${context.scope.id} ${quarantine.failures}`,
    );
  }
}

/** On the binding and the pod: the identity is attached. `before`: the object as it was. */
export function recordAttached(context: EventContext, need: Need, before: Assignment): void {
  const { binding } = need.match;
  context.events.record(
    regardingBinding(binding),
    'Normal',
    'binding applied',
    `Binding ${binding.name} applied on node ${need.pod.node} for pod ${need.pod.name}`,
    // An identity that was changed in place is applied once more, sometimes within minutes.
    `applied ${need.pod.key} ${need.identityId}`,
  );
  const seconds = Math.max(0, Math.round((context.clock.wall() - Date.parse(before.metadata.creationTimestamp ?? '')) / 1000));
  const took = Number.isNaN(seconds) ? '' : ` after ${seconds} s`;
  recordOnPod(context, need, {
    type: 'Normal',
    reason: 'Attached',
    text: `is attached to ${context.scope.displayId}${took}`,
    same: `attached ${need.identityId}`,
  });
}

/** On the binding and the pod: the object waits because of a failure. `isNew`: the object did not say so before. */
export function recordFailure(
  context: EventContext,
  need: Need,
  failure: { reason: AssignmentReason; message: string; retryAt: string | null; isNew: boolean },
): void {
  const { reason, message, retryAt, isNew } = failure;
  const { binding } = need.match;
  if (isNew) {
    const text = `failed to apply binding ${binding.key} node ${need.pod.node} for pod ${need.pod.key}, error: ${message}`;
    context.events.record(regardingBinding(binding), 'Warning', 'binding apply error', text);
  }
  const next = retryAt === null ? '' : `; next try at ${retryAt}`;
  recordOnPod(context, need, { type: 'Warning', reason, text: `waits: ${message}${next}`, same: reason });
}

/** On the pod: it cannot reach IMDS, where the tokens of attached identities come from. */
export function recordRestricted(context: EventContext, need: Need, message: string): void {
  const reason: AssignmentReason = 'ImdsRestricted';
  recordOnPod(context, need, { type: 'Warning', reason, text: `is attached in vain: ${message}`, same: reason });
}

/** On the AzureIdentity, the binding and the pod: spec.clientID is that of another resource. */
export function recordClientIdMismatch({ events }: EventContext, { match: { identity, binding }, pod }: Need, message: string): void {
  events.record(regardingIdentity(identity), 'Warning', 'ClientIDMismatch', message);
  events.record(regardingBinding(binding), 'Warning', 'binding apply error', message);
  events.record(regardingPod(pod), 'Warning', 'ClientIDMismatch', message);
}

/** `text` completes "AzureIdentity x ..."; `same` replaces it for deduplication where it has changing parts. */
function recordOnPod(
  { events }: EventContext,
  need: Need,
  { type, reason, text, same }: { type: 'Normal' | 'Warning'; reason: EventReason; text: string; same: string },
): void {
  const subject = `AzureIdentity ${need.match.identity.key}`;
  events.record(regardingPod(need.pod), type, reason, `${subject} ${text}`, `${subject} ${same}`);
}

/** Whether an id (lower case) is one that the AzureIdentities of a namespace stand for. */
export function ownIdentities(needs: readonly Need[]): (namespace: string) => (id: string) => boolean {
  const byNamespace = new Map<string, Set<string>>();
  for (const { match, identityId } of needs) {
    const { namespace } = match.identity;
    byNamespace.set(namespace, (byNamespace.get(namespace) ?? new Set()).add(identityId));
  }
  return (namespace) => (id) => byNamespace.get(namespace)?.has(id) ?? false;
}
