// Keeps the AzureAssignedIdentities of one pod as they should be. The key is `namespace/name` of the pod.
//
//   read    pod, matches and objects from the caches     pod-state.ts
//   plan    actions that make the objects match          plan.ts
//   apply   each action by itself                        apply.ts
//   status  why the pod or an object waits               status.ts
import type { Reconcile } from '../../lib/controller/reconcile.ts';
import type { Informers } from '../../lib/identities/informers.ts';
import type { MatchRules } from '../../lib/identities/match.ts';
import type { Pod } from '../../lib/identities/pod.ts';
import { isTerminal } from '../../lib/identities/reasons.ts';
import { regardingBinding, regardingIdentity, regardingPod } from '../../lib/identities/regarding.ts';
import type { ApplyOptions } from './apply.ts';
import { createApply } from './apply.ts';
import type { PlanRules } from './plan.ts';
import { planAssignments } from './plan.ts';
import type { PodState, PodStateRules } from './pod-state.ts';
import { readPodState } from './pod-state.ts';
import type { ReleaserOptions } from './releaser.ts';
import { Releaser } from './releaser.ts';
import { blockedAssignments, danglingBindingMessage, noBindingMessage, overLimitMessage } from './status.ts';

export interface AssignmentReconcilerOptions extends ApplyOptions, ReleaserOptions {
  informers: Informers;
  client: ApplyOptions['client'];
  rules: PlanRules & MatchRules & PodStateRules;
}

/** A thousand bindings that select one pod must not cost a thousand Events with each change of it. */
const maxBindingEvents = 10;
/** Room for an object of a full namespace comes without a change of the pod. */
const refusedRetryMs = 60_000;

export function createAssignmentReconciler(options: AssignmentReconcilerOptions): Reconcile {
  const { informers, client, events, rules } = options;
  const releaser = new Releaser(options);
  const apply = createApply(options, releaser);

  function recordBindingEvents(pod: Pod, { matches }: PodState): void {
    const dangling = informers.matches.danglingOf(pod).slice(0, maxBindingEvents);
    if (matches.length === 0 && pod.injected && !pod.finished) {
      const unused = {
        dangling: dangling.find(({ namespace }) => namespace === pod.namespace),
        nearMiss: informers.matches.nearMissOf(pod),
      };
      events.record(regardingPod(pod), 'Warning', 'NoBinding', noBindingMessage(pod, unused, rules));
    }
    for (const binding of dangling)
      events.record(regardingBinding(binding), 'Warning', 'binding apply error', danglingBindingMessage(binding));
    for (const match of informers.matches.overLimitOf(pod).slice(0, maxBindingEvents))
      events.record(regardingBinding(match.binding), 'Warning', 'ForeignBindingLimit', overLimitMessage(match));
  }

  /** Returns the errors of the writes that failed. */
  function writeBlocked(pod: Pod, state: PodState): Promise<unknown[]> {
    return forEachAlone(blockedAssignments(state), async ({ current, match: { identity, binding }, reason, message }) => {
      await client.updateStatus(current, undefined, { reason, message });
      if (isTerminal(reason)) events.record(regardingBinding(binding), 'Warning', 'binding apply error', message);
      if (reason === 'IdentityNotAllowed') events.record(regardingIdentity(identity), 'Warning', reason, message);
      events.record(regardingPod(pod), isTerminal(reason) ? 'Warning' : 'Normal', reason, message);
    });
  }

  return async (podKey) => {
    const state = readPodState(informers, podKey, rules);
    const { pod, assignments } = state;
    releaser.observe(podKey, state);
    const plan = planAssignments(state, rules);
    const errors = await forEachAlone(plan, (action) => apply(action, pod));
    if (pod !== undefined && !pod.mirror) {
      recordBindingEvents(pod, state);
      // The caches may hold by now what was applied.
      errors.push(...(await writeBlocked(pod, readPodState(informers, podKey, rules))));
    }
    if (errors.length > 0) throw new AggregateError(errors, 'assignments not written');
    if (plan.some(({ kind }) => kind === 'refuse')) return { requeueAfterMs: refusedRetryMs };
    return { done: pod === undefined && assignments.length === 0 };
  };
}

/** Works on the items in order. One that fails does not keep the next from being worked on. Returns the errors. */
async function forEachAlone<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<unknown[]> {
  const errors: unknown[] = [];
  for (const item of items) await work(item).catch((error: unknown) => errors.push(error));
  return errors;
}
