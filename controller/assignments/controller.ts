// The controller of AzureAssignedIdentities:
//
//   watches ----> desired state (at once) ----> scopes, federated identities
//      '--------> work queue (in turn) -------> reconciler ----> API server
//
// Scopes and federated identities read what pods need from the desired state. It changes within the event of an informer, while the objects of
// thousands of pods wait in the work queue.
import type { RunnerOptions } from '../../lib/controller/runner.ts';
import { startRunner } from '../../lib/controller/runner.ts';
import { isFederated } from '../../lib/identities/federation/assignment-mode.ts';
import type { DesiredStateIndex } from './desired-state.ts';
import type { FederatedNeedsIndex } from './federated-needs.ts';
import { needsOfPod } from './needs.ts';
import { planAssignments } from './plan.ts';
import { readPodState } from './pod-state.ts';
import type { AssignmentReconcilerOptions } from './reconciler.ts';
import { createAssignmentReconciler } from './reconciler.ts';
import { watchInputs } from './watches.ts';

export interface AssignmentsOptions extends AssignmentReconcilerOptions, Pick<RunnerOptions, 'metrics'> {
  desired: DesiredStateIndex;
  scopes: {
    /** The needs of the scope changed, or an object of one of them. */
    enqueue(scopeId: string): void;
    /** A sidecar reported that IMDS does not know an identity of the scope. */
    refresh(scopeId: string): void;
  };
  federatedNeeds: FederatedNeedsIndex;
  federation: {
    /** The needs of the identity changed, or an object of one of them. */
    enqueue(identityId: string): void;
    /** The broker reported that Entra does not take its token for the identity. */
    refresh(identityId: string): void;
  };
  /** Pods whose objects are written at the same time. */
  concurrency: number;
}

/** Works until stopped. The caches must have synced. */
export function startAssignments(options: AssignmentsOptions): { stop(): Promise<void> } {
  const { informers, desired, scopes, federatedNeeds, federation, rules, concurrency, log, metrics } = options;
  const reconcile = createAssignmentReconciler(options);
  const runner = startRunner({
    name: 'assignments',
    reconcile(podKey, context) {
      // What a namespace may give to pods of others depends on objects of other pods.
      updateNeeds(podKey);
      return reconcile(podKey, context);
    },
    concurrency,
    log,
    metrics,
  });

  function updateNeeds(podKey: string): void {
    const state = readPodState(informers, podKey, rules);
    const scope = typeof state.scope === 'object' ? state.scope : undefined;
    const needs = needsOfPod(state, planAssignments(state, rules));
    for (const scopeId of desired.update(podKey, scope, needs.attached)) scopes.enqueue(scopeId);
    for (const identityId of federatedNeeds.update(podKey, needs.federated)) federation.enqueue(identityId);
  }

  function onPod(podKey: string): void {
    updateNeeds(podKey);
    runner.enqueue(podKey);
  }

  const unwatch = watchInputs(informers, {
    onPod,
    onAssignment(podKey, reported) {
      onPod(podKey);
      const federated = federatedNeeds.identitiesOfPod(podKey);
      const refused = reported === undefined ? undefined : federated.find((identityId) => isFederated(reported, identityId));
      for (const identityId of federated) {
        if (identityId === refused) federation.refresh(identityId);
        else federation.enqueue(identityId);
      }
      const scopeId = desired.scopeIdOfPod(podKey);
      if (scopeId === undefined) return;
      if (reported !== undefined && refused === undefined) scopes.refresh(scopeId);
      else scopes.enqueue(scopeId);
    },
  });

  // Synchronous, so the needs of all pods are known before the first scope is reconciled: with some of them it would detach what the others use.
  for (const { key } of informers.pods.values()) onPod(key);
  for (const { podKey } of informers.assignments.values()) runner.enqueue(podKey);

  return {
    async stop() {
      unwatch();
      await runner.stop();
    },
  };
}
