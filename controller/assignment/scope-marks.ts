// Tells on the objects how it stands with the identities of a scope.
import { annotations } from '../../api/names.ts';
import type { EventRecorder } from '../../lib/kube/events.ts';
import type { AttachedIdentity } from '../azure/plan.ts';
import type { Scope } from '../azure/resource-ids.ts';
import type { AssignedIdentities, AssignmentNotes } from './assigned-identities.ts';
import type { Need } from './demand.ts';
import { regardingBinding, regardingIdentity } from './events.ts';
import type { Assignment } from './objects.ts';
import type { AssignmentReason } from './reasons.ts';

export interface MarkContext {
  scope: Scope;
  assignmentOf(need: Need): Assignment | undefined;
  objects: AssignedIdentities;
  events: EventRecorder;
  now(): Date;
}

/** An object that Azure may still do something for; one whose clientID is wrong waits for its author. */
export function isWaiting(assignment: Assignment | undefined): boolean {
  const mismatch: AssignmentReason = 'ClientIDMismatch';
  return assignment?.status !== 'Assigned' && assignment?.metadata.annotations?.[annotations.reason] !== mismatch;
}

/** Created -> Assigned for what the scope has, with the ids that Azure reports for it. */
export async function markAttached(
  context: MarkContext,
  needs: readonly Need[],
  attached: ReadonlyMap<string, AttachedIdentity>,
): Promise<void> {
  await Promise.all(
    needs.map(async (need) => {
      const current = context.assignmentOf(need);
      const there = attached.get(need.identityId);
      if (current?.status !== 'Created' || there === undefined || there === null) return;
      const { identity, binding } = need.match;
      if (identity.clientID !== '' && identity.clientID.toLowerCase() !== there.clientId.toLowerCase()) {
        const message = `AzureIdentity ${identity.key} has spec.clientID ${identity.clientID}, but its resourceID belongs to client id ${there.clientId}`;
        if (await note(context, current, { reason: 'ClientIDMismatch', message }))
          context.events.record(regardingIdentity(identity), 'Warning', 'ClientIDMismatch', message);
        return;
      }
      await context.objects.mark(current, 'Assigned', {
        scope: context.scope.displayId,
        clientId: there.clientId,
        objectId: there.principalId,
        assignedAt: context.now().toISOString(),
        reason: null,
        message: null,
        retryAt: null,
      });
      context.events.record(
        regardingBinding(binding),
        'Normal',
        'binding applied',
        `Binding ${binding.name} applied on node ${need.pod.node} for pod ${need.pod.name}`,
      );
    }),
  );
}

/** Notes on each waiting object of these identities why it waits, and tells its binding. */
export async function markFailed(
  context: MarkContext,
  needs: readonly Need[],
  identityIds: ReadonlySet<string>,
  failure: { reason: AssignmentReason; message: string; retryAt?: string },
): Promise<void> {
  await Promise.all(
    needs.map(async (need) => {
      const current = context.assignmentOf(need);
      if (current?.status !== 'Created' || !identityIds.has(need.identityId)) return;
      const { binding } = need.match;
      const told = await note(context, current, { reason: failure.reason, message: failure.message, retryAt: failure.retryAt ?? null });
      const where = `${binding.key} node ${need.pod.node} for pod ${need.pod.key}`;
      if (told)
        context.events.record(
          regardingBinding(binding),
          'Warning',
          'binding apply error',
          `failed to apply binding ${where}, error: ${failure.message}`,
        );
    }),
  );
}

/** Writes the notes unless the same reason and message already stand there; tells whether it wrote. */
async function note(context: MarkContext, current: Assignment, notes: AssignmentNotes): Promise<boolean> {
  const known = current.metadata.annotations ?? {};
  if (known[annotations.reason] === notes.reason && known[annotations.message] === notes.message) return false;
  await context.objects.mark(current, undefined, notes);
  return true;
}
