// What is told and counted about writes of AzureAssignedIdentity objects: upstream's Events, with its reasons, and its metrics
// (spec/aad-pod-identity.md 2.13, 4).

import { regardingAssignment, regardingBinding, regardingBindingOf } from '../../lib/identities/regarding.ts';
import { isAlreadyExists, isConflict } from '../../lib/kube/errors.ts';
import type { EventRecorder } from '../../lib/kube/events.ts';
import type { Measures } from '../metrics/instruments.ts';
import { measured } from '../metrics/instruments.ts';
import type { AssignedIdentities } from './client.ts';

export function observeWrites(objects: AssignedIdentities, events: EventRecorder, measures: Measures): AssignedIdentities {
  const counted = (operation: 'addition' | 'deletion' | 'update', work: () => Promise<void>, tell: (why: string) => void): Promise<void> =>
    measured(
      work,
      (seconds) => {
        measures[operation].seconds.observe(seconds);
        measures[operation].count.inc();
      },
      failed(`assigned_identity_${operation}`, tell),
    );
  const failed = (type: string, tell: (why: string) => void) => (error: unknown) => {
    // Only says that the cache was behind, or that the former object of this name is still on its way out.
    if (isConflict(error) || isAlreadyExists(error)) return;
    measures.kubernetesErrors.inc({ operation_type: type });
    tell(error instanceof Error ? error.message : String(error));
  };

  return {
    create: (pod, match, name, namespace) =>
      counted(
        'addition',
        () => objects.create(pod, match, name, namespace),
        (why) =>
          events.record(
            regardingBinding(match.binding),
            'Warning',
            'binding apply error',
            `failed to create AzureAssignedIdentity ${namespace}/${name} for pod ${pod.key}, error: ${why}`,
          ),
      ),

    update: (pod, match, current, restart) =>
      counted(
        'update',
        () => objects.update(pod, match, current, restart),
        (why) =>
          events.record(
            regardingBinding(match.binding),
            'Warning',
            'binding apply error',
            `failed to update AzureAssignedIdentity ${current.key} for pod ${pod.key}, error: ${why}`,
          ),
      ),

    async release(current) {
      const from = `from node ${current.node} for pod ${current.podKey.split('/').at(-1)}`;
      const binding = current.bindingKey.split('/').at(-1);
      await counted(
        'deletion',
        () => objects.release(current),
        (why) =>
          events.record(
            regardingBindingOf(current),
            'Warning',
            'binding remove error',
            `failed to remove binding ${binding} ${from}, error: ${why}`,
          ),
      );
      events.record(regardingBindingOf(current), 'Normal', 'binding removed', `Binding ${binding} removed ${from}`);
    },

    updateStatus: (current, status, notes) =>
      measured(
        () => objects.updateStatus(current, status, notes),
        () => undefined,
        failed('update_azure_assigned_identity_status', (why) =>
          events.record(
            regardingAssignment(current),
            'Warning',
            'status update error',
            `failed to update AzureAssignedIdentity ${current.key} status to ${status ?? current.status} for pod ${current.podKey}, error: ${why}`,
          ),
        ),
      ),
  };
}
