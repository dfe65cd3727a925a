import { assignedIdentityFinalizer } from '../../api/names.ts';
import type { Clock } from '../../common/clock.ts';
import type { Assignment } from '../../lib/identities/assignment.ts';
import type { Informers } from '../../lib/identities/informers.ts';
import type { Match } from '../../lib/identities/match.ts';
import type { Pod } from '../../lib/identities/pod.ts';
import type { EventReason } from '../../lib/identities/reasons.ts';
import { regardingBinding } from '../../lib/identities/regarding.ts';
import type { EventRecorder } from '../../lib/kube/events.ts';
import type { Logger } from '../../lib/log.ts';
import type { AssignmentClient } from './client.ts';
import { assignmentName, assignmentNamespace } from './naming.ts';
import type { AssignmentAction } from './plan.ts';
import type { Releaser } from './releaser.ts';
import { fullNamespaceMessage } from './status.ts';

export interface ApplyOptions {
  informers: Pick<Informers, 'assignments'>;
  client: AssignmentClient;
  events: EventRecorder<EventReason>;
  log: Logger;
  clock: Clock;
  rules: { forceNamespaced: boolean };
}

/** Carries out one action of a pod's plan. Throws as the client does. */
export type Apply = (action: AssignmentAction, pod: Pod | undefined) => Promise<void>;

export function createApply(options: ApplyOptions, releaser: Releaser): Apply {
  const { informers, client, events, log, clock, rules } = options;

  async function create(pod: Pod, match: Match, plain: boolean): Promise<void> {
    const namespace = assignmentNamespace(match.identity, rules.forceNamespaced);
    const isTaken = (name: string) => !plain || keepsName(informers.assignments.get(`${namespace}/${name}`), pod);
    const name = assignmentName(pod, match.identity, isTaken);
    await client.create(pod, match, name, namespace);
    log.info({ assignment: `${namespace}/${name}`, pod: pod.key }, 'assignment created');
  }

  async function assign(pod: Pod, { binding }: Match, current: Assignment): Promise<void> {
    await client.updateStatus(current, 'Assigned', { assignedAt: new Date(clock.wall()).toISOString() });
    const message = `Binding ${binding.name} applied on node ${pod.node} for pod ${pod.name}`;
    events.record(regardingBinding(binding), 'Normal', 'binding applied', message);
  }

  async function refuse({ identity, binding }: Match): Promise<void> {
    events.record(regardingBinding(binding), 'Warning', 'ForeignBindingLimit', fullNamespaceMessage(identity));
  }

  return async (action, pod) => {
    if (action.kind === 'release') return releaser.release(action.current, pod);
    // The plan of a pod that is gone has releases only.
    if (pod === undefined) return;
    if (action.kind === 'create') return create(pod, action.match, action.plain);
    if (action.kind === 'refuse') return refuse(action.match);
    if (action.kind === 'assign') return assign(pod, action.match, action.current);
    return client.update(pod, action.match, action.current, action.restart);
  };
}

/** The name belongs to the object of another pod, or to one that a finalizer of somebody else keeps from going away. */
function keepsName(assignment: Assignment | undefined, pod: Pod): boolean {
  if (assignment === undefined) return false;
  const { deletionTimestamp, finalizers = [] } = assignment.metadata;
  const isHeld = deletionTimestamp !== undefined && finalizers.some((finalizer) => finalizer !== assignedIdentityFinalizer);
  return assignment.podKey !== pod.key || isHeld;
}
