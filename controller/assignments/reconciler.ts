// The leader's first half: keeps the AzureAssignedIdentities of every labelled pod as they should be and tells the scopes what they need.
import { annotations, assignedIdentityFinalizer } from '../../api/names.ts';
import type { Scope } from '../../lib/azure/resource-ids.ts';
import { identityIdForm, scopeOfId, scopeOfProviderId } from '../../lib/azure/resource-ids.ts';
import { createWorkQueue } from '../../lib/controller/work-queue.ts';
import { isDoubt } from '../../lib/identities/imds-report.ts';
import type { Informers } from '../../lib/identities/informers.ts';
import type { Match } from '../../lib/identities/match.ts';
import type { Need } from '../../lib/identities/need.ts';
import type { Assignment, Binding, Pod } from '../../lib/identities/objects.ts';
import { belongsTo, bindingOf, identityOf } from '../../lib/identities/objects.ts';
import type { AssignmentReason } from '../../lib/identities/reasons.ts';
import { isTerminal } from '../../lib/identities/reasons.ts';
import { regardingBinding, regardingPod } from '../../lib/identities/regarding.ts';
import { isAlreadyExists, isConflict } from '../../lib/kube/errors.ts';
import type { EventRecorder } from '../../lib/kube/events.ts';
import type { Logger } from '../../lib/log.ts';
import { onceIn } from '../../lib/once-in.ts';
import type { AssignedIdentities } from './client.ts';
import type { Demand } from './desired-state.ts';
import { assignmentName, assignmentNamespace } from './naming.ts';
import type { AssignmentAction } from './plan.ts';
import { planAssignments } from './plan.ts';

export interface AssignerOptions {
  informers: Informers;
  demand: Demand;
  objects: AssignedIdentities;
  events: EventRecorder;
  log: Logger;
  rules: { forceNamespaced: boolean; assignUninjected: boolean };
  /** Asks the API server itself: gone, or labelled no more. */
  podIsGone(namespace: string, name: string): Promise<boolean>;
  /** Upstream's createDeleteBatch. */
  concurrency: number;
  /** What a scope needs has changed, or an object of one of its needs has. */
  onScope(scopeId: string): void;
  /** A sidecar of that scope doubts what is recorded. */
  onDoubt(scopeId: string): void;
}

/** Works until stopped. The caches must have synced. */
export function runAssigner(options: AssignerOptions): { stop(): Promise<void> } {
  const { informers, demand, objects, events, log, rules } = options;
  // A missing RBAC rule fails every pod in the same words.
  const mayTell = onceIn(60_000);
  const queue = createWorkQueue({
    concurrency: options.concurrency,
    work: reconcile,
    onError: (podKey, error, retryMs) => {
      // A conflict only says that the cache was behind; the event that mends it is on its way.
      if (!isConflict(error) && !isAlreadyExists(error) && mayTell(String(error)))
        log.warn({ pod: podKey, error: String(error), retryMs: Math.round(retryMs) }, 'assignment not written');
    },
  });

  const unsubscribe = [
    informers.matches.onPod(touch),
    informers.assignments.onChange(({ before, after }) => {
      // Two, where a person edited it.
      for (const podKey of new Set([before?.podKey, after?.podKey])) {
        if (podKey === undefined) continue;
        touch(podKey);
        const scopeId = demand.scopeIdOfPod(podKey);
        if (scopeId === undefined) continue;
        if (isDoubt(before, after)) options.onDoubt(scopeId);
        else options.onScope(scopeId);
      }
    }),
    informers.nodes.onChange(({ key, before, after }) => {
      // A node's heartbeat is none of our business.
      if (before?.providerID === after?.providerID) return;
      for (const podKey of informers.podsOfNode(key)) touch(podKey);
    }),
  ];

  /** Pods that were in the cache. A former leader's object may come here before the pod it was made for does: each kind has its own watch. */
  const seen = new Set<string>();
  function isGone(podKey: string): Promise<boolean> {
    const [namespace = '', name = ''] = podKey.split('/');
    return options.podIsGone(namespace, name);
  }

  // All needs are known before the first scope looks: one that saw only some would take away what the others use.
  for (const pod of informers.pods.values()) look(pod.key);
  for (const pod of informers.pods.values()) queue.add(pod.key);
  for (const assignment of informers.assignments.values()) queue.add(assignment.podKey);

  /** The scope hears of it at once; the writes of objects wait for their turn among those of thousands of other pods. */
  function touch(podKey: string): void {
    look(podKey);
    queue.add(podKey);
  }

  function look(podKey: string): { pod: Pod | undefined; matches: Match[]; actions: AssignmentAction[] } {
    const pod = informers.pods.get(podKey);
    if (pod !== undefined) seen.add(podKey);
    const matches = pod === undefined ? [] : informers.matches.matchesOf(pod);
    const existing = informers.assignmentsOf(podKey);
    const excepted = pod !== undefined && informers.matches.exceptedNow(pod);
    const actions = planAssignments({ pod, matches, excepted, existing, ...rules });
    tellScopes(podKey, pod, matches, actions);
    return { pod, matches, actions };
  }

  async function reconcile(podKey: string): Promise<void> {
    const { pod, matches, actions } = look(podKey);
    const failures: unknown[] = [];
    // Each by itself: an object that cannot be written keeps no other identity from the pod.
    for (const action of actions) await apply(podKey, pod, action).catch((error: unknown) => failures.push(error));
    if (pod !== undefined) await explain(pod, matches);
    if (failures.length > 0) throw failures[0];
    if (pod === undefined) seen.delete(podKey);
  }

  /**
   * A pod needs what it has an object for, or is about to get one for: a pod that may not begin needs nothing. What a living pod was promised it
   * needs until its object says otherwise, so that no object stands at Assigned while Azure takes the identity away.
   */
  function tellScopes(podKey: string, pod: Pod | undefined, matches: readonly Match[], actions: readonly AssignmentAction[]): void {
    const scope = pod === undefined ? undefined : scopeOf(pod);
    const needs: Need[] = [];
    if (pod !== undefined && typeof scope === 'object') {
      const released = new Set(actions.flatMap((action) => (action.kind === 'release' ? [action.current] : [])));
      const has = (match: Match) =>
        actions.some((action) => action.kind !== 'release' && action.match === match) ||
        informers.assignmentsOf(podKey).some((assignment) => assignment.identityKey === match.identity.key && !released.has(assignment));
      for (const match of matches) {
        const { identityId } = match.identity;
        if (identityId !== undefined && has(match)) needs.push({ pod, match, identityId });
      }
      if (!pod.finished)
        for (const current of actions.flatMap(leaving)) {
          const need = needPromisedBy(current, pod);
          if (need !== undefined && !needs.some(({ identityId }) => identityId === need.identityId)) needs.push(need);
        }
    }
    for (const scopeId of demand.set(podKey, typeof scope === 'object' ? scope : undefined, needs)) options.onScope(scopeId);
  }

  function scopeOf(pod: Pod): Scope | 'pending' | 'unsupported' {
    const node = informers.nodes.get(pod.node);
    if (node !== undefined) return scopeOfProviderId(node.providerID);
    // The Node object went, the pod did not (yet): what it was given stays where it is.
    const noted = informers
      .assignmentsOf(pod.key)
      .filter((assignment) => belongsTo(assignment, pod) && assignment.node === pod.node)
      .flatMap(({ metadata }) => scopeOfId(metadata.annotations?.[annotations.scope] ?? '') ?? []);
    return noted[0] ?? 'pending';
  }

  async function apply(podKey: string, pod: Pod | undefined, action: AssignmentAction): Promise<void> {
    if (action.kind === 'release') {
      if (pod === undefined && !seen.has(podKey) && !(await isGone(podKey))) return;
      await objects.release(action.current);
      log.info({ assignment: action.current.key, pod: action.current.podKey }, 'assignment released');
      return;
    }
    if (pod === undefined) return;
    if (action.kind === 'create') {
      const namespace = assignmentNamespace(action.match.identity, rules.forceNamespaced);
      const name = assignmentName(pod, action.match.identity, (candidate) =>
        isOthers(informers.assignments.get(`${namespace}/${candidate}`), pod),
      );
      await objects.create(pod, action.match, name, namespace);
      log.info({ assignment: `${namespace}/${name}`, pod: pod.key }, 'assignment created');
    } else if (action.kind === 'update') {
      await objects.update(pod, action.match, action.current, action.restart);
    } else {
      await objects.updateStatus(action.current, 'Assigned', { assignedAt: new Date().toISOString() });
      events.record(
        regardingBinding(action.match.binding),
        'Normal',
        'binding applied',
        `Binding ${action.match.binding.name} applied on node ${pod.node} for pod ${pod.name}`,
      );
    }
  }

  /** What can never be attached says so on the object, where `kubectl describe` shows it. */
  async function explain(pod: Pod, matches: readonly Match[]): Promise<void> {
    const dangling = informers.matches.danglingOf(pod).slice(0, toldBindings);
    if (matches.length === 0 && pod.injected && !pod.finished)
      events.record(regardingPod(pod), 'Normal', 'NoBinding', whyNone(pod, dangling[0]));
    for (const binding of dangling) {
      const message = `AzureIdentity ${binding.identityKey} does not exist, so the binding gives pods with selector '${binding.selector}' nothing`;
      events.record(regardingBinding(binding), 'Warning', 'binding apply error', message);
    }
    const scope = scopeOf(pod);
    for (const match of matches) {
      const current = informers.assignmentOf(pod.key, match.identity.key);
      if (current === undefined || current.status !== 'Created') continue;
      const problem = problemOf(match, scope, informers.nodes.get(pod.node)?.providerID);
      const known = current.metadata.annotations?.[annotations.reason];
      if (problem !== undefined && known !== problem.reason) {
        await objects.updateStatus(current, undefined, problem);
        const isFinal = isTerminal(problem.reason);
        if (isFinal) events.record(regardingBinding(match.binding), 'Warning', 'binding apply error', problem.message);
        events.record(regardingPod(pod), isFinal ? 'Warning' : 'Normal', problem.reason, problem.message);
      }
    }
  }

  function whyNone({ selector }: Pod, dangling: Binding | undefined): string {
    if (dangling !== undefined)
      return `AzureIdentityBinding ${dangling.key} has the selector '${selector}' of this pod, but its AzureIdentity ${dangling.identityKey} does not exist`;
    return `no AzureIdentityBinding with selector '${selector}' gives this pod an AzureIdentity${rules.forceNamespaced ? ' of its own namespace' : ''}`;
  }

  return {
    async stop() {
      for (const off of unsubscribe) off();
      await queue.stop();
    },
  };
}

/** Of those that select one pod and give it nothing: a thousand of them must not cost a thousand Events for each change of a pod. */
const toldBindings = 10;

/** Another pod's object stands under the name; that of the same pod's former self goes away, unless somebody else's finalizer holds it. */
function isOthers(assignment: Assignment | undefined, pod: Pod): boolean {
  if (assignment === undefined) return false;
  const { deletionTimestamp, finalizers = [] } = assignment.metadata;
  return (
    assignment.podKey !== pod.key || (deletionTimestamp !== undefined && finalizers.some((each) => each !== assignedIdentityFinalizer))
  );
}

/** The object that the action takes away, or points elsewhere. */
const leaving = (action: AssignmentAction): Assignment[] =>
  action.kind === 'release' || (action.kind === 'update' && action.restart) ? [action.current] : [];

/** Undefined for an object that promises nothing (any more), or not to this pod. */
function needPromisedBy(current: Assignment, pod: Pod): Need | undefined {
  if (current.status !== 'Assigned' || !belongsTo(current, pod)) return undefined;
  const identity = identityOf(current.references.identity);
  const binding = bindingOf(current.references.binding);
  if (identity?.identityId === undefined || binding === undefined) return undefined;
  return { pod, match: { identity, binding }, identityId: identity.identityId };
}

function problemOf(
  match: Match,
  scope: Scope | 'pending' | 'unsupported',
  providerID: string | undefined,
): { reason: AssignmentReason; message: string } | undefined {
  const { identity } = match;
  if (identity.type === undefined)
    return {
      reason: 'UnknownType',
      message: `AzureIdentity ${identity.key} has spec.type ${String(identity.object.spec?.type)}: accepted is 0, 1 or 2`,
    };
  if (identity.type !== 0) return undefined;
  if (identity.identityId === undefined) {
    const message = `AzureIdentity ${identity.key} has spec.resourceID '${identity.resourceID}': accepted is ${identityIdForm}`;
    return { reason: 'InvalidResourceID', message };
  }
  if (scope === 'unsupported')
    return {
      reason: 'UnsupportedNode',
      message: `the pod's node has providerID '${providerID}', which is no Azure scale set or virtual machine`,
    };
  // An unknown node is no reason: its pods are read before it is, at times.
  if (scope === 'pending' && providerID === '')
    return { reason: 'WaitingForNode', message: "the pod's node has no providerID yet, which tells its scale set or virtual machine" };
  return undefined;
}
