// Events on AzureIdentity objects about how they are assigned: an annotation that does not count, and two objects of one Azure identity of which one
// attaches what the other federates.
import type { AssignmentModeRules } from '../../lib/identities/federation/assignment-mode.ts';
import { assignmentModeOf, assignmentProblemOf } from '../../lib/identities/federation/assignment-mode.ts';
import type { Identity } from '../../lib/identities/identity.ts';
import type { EventReason } from '../../lib/identities/reasons.ts';
import { regardingIdentity } from '../../lib/identities/regarding.ts';
import type { EventRecorder } from '../../lib/kube/events.ts';
import type { Informer } from '../../lib/kube/informer.ts';

/** Of one change: an author can name one Azure identity in thousands of objects, and change each of them. */
const mostEvents = 20;

/** For the objects that are there and for each that changes. The cache must have synced. Returns how to stop. */
export function watchModes(
  identities: Informer<Identity>,
  { events, rules }: { events: EventRecorder<EventReason>; rules: AssignmentModeRules },
): () => void {
  const attaches = (object: Identity) => assignmentModeOf(object, rules) === 'attach';
  const federates = (object: Identity) => assignmentModeOf(object, rules) === 'federate';

  function recordProblem(identity: Identity): void {
    const problem = assignmentProblemOf(identity, rules);
    if (problem !== undefined) events.record(regardingIdentity(identity), 'Warning', 'AssignmentIgnored', problem);
  }

  function recordStillAttached(federated: Identity, attached: Identity): void {
    const message =
      `AzureIdentity ${attached.key} attaches the same Azure identity to the nodes of its pods, and whatever reaches IMDS there can have it: ` +
      'federate that one too';
    events.record(regardingIdentity(federated), 'Warning', 'StillAttached', message);
  }

  const attachedByIdentity = new Map([...identities.values()].filter(attaches).map((object) => [object.identityId, object]));
  for (const object of identities.values()) {
    recordProblem(object);
    const attached = federates(object) && object.identityId !== undefined ? attachedByIdentity.get(object.identityId) : undefined;
    if (attached !== undefined) recordStillAttached(object, attached);
  }
  return identities.onChange(({ after }) => {
    if (after === undefined) return;
    recordProblem(after);
    if (after.identityId === undefined) return;
    const same = [...identities.values()].filter(({ identityId }) => identityId === after.identityId);
    if (federates(after)) {
      const attached = same.find(attaches);
      if (attached !== undefined) recordStillAttached(after, attached);
    } else if (attaches(after)) {
      for (const federated of same.filter(federates).slice(0, mostEvents)) recordStillAttached(federated, after);
    }
  });
}
