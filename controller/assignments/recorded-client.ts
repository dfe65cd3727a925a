import type { EventReason } from '../../lib/identities/reasons.ts';
import { regardingAssignment, regardingBinding, regardingBindingOf } from '../../lib/identities/regarding.ts';
import { isAlreadyExists, isConflict, isNamespaceTerminating } from '../../lib/kube/errors.ts';
import type { EventRecorder } from '../../lib/kube/events.ts';
import type { Instruments } from '../metrics/instruments.ts';
import { measured } from '../metrics/instruments.ts';
import type { AssignmentClient } from './client.ts';

/** Records the writes of a client in Events and metrics, under the reasons and names of aad-pod-identity (docs/reference/aad-pod-identity.md). */
export function recordWrites(
  client: AssignmentClient,
  { events, instruments }: { events: EventRecorder<EventReason>; instruments: Instruments },
): AssignmentClient {
  const counted = (
    operation: 'addition' | 'deletion' | 'update',
    work: () => Promise<void>,
    record: (why: string) => void,
  ): Promise<void> =>
    measured(
      work,
      (seconds) => {
        instruments[operation].seconds.observe(seconds);
        instruments[operation].count.inc();
      },
      failed(`assigned_identity_${operation}`, record),
    );
  const failed = (type: string, record: (why: string) => void) => (error: unknown) => {
    // The cache was behind, the former object of this name is not gone yet, or the pod goes with its namespace.
    if (isConflict(error) || isAlreadyExists(error) || isNamespaceTerminating(error)) return;
    instruments.kubernetesErrors.inc({ operation_type: type });
    record(error instanceof Error ? error.message : String(error));
  };

  return {
    create: (pod, match, name, namespace) =>
      counted(
        'addition',
        () => client.create(pod, match, name, namespace),
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
        () => client.update(pod, match, current, restart),
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
        () => client.release(current),
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

    updateStatus: (current, status, changes) =>
      measured(
        () => client.updateStatus(current, status, changes),
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
