// Tells on the objects how it stands with the identities of a scope.
import type { AssignmentStatus } from '../../api/kinds.ts';
import { annotations } from '../../api/names.ts';
import type { Scope } from '../../lib/azure/resource-ids.ts';
import type { Need } from '../../lib/identities/need.ts';
import type { Assignment } from '../../lib/identities/objects.ts';
import type { AssignmentReason } from '../../lib/identities/reasons.ts';
import { regardingBinding, regardingIdentity, regardingPod } from '../../lib/identities/regarding.ts';
import type { StatusAnnotations } from '../../lib/identities/status-writer.ts';
import { isConflict, isInvalid, isNotFound } from '../../lib/kube/errors.ts';
import type { EventRecorder } from '../../lib/kube/events.ts';
import type { AssignedIdentities } from '../assignments/client.ts';
import type { AttachedIdentity } from '../azure/arm/identity-map.ts';
import type { Quarantine } from './quarantine.ts';

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
  return (
    (assignment?.status !== 'Assigned' || isTakenOver(assignment)) && assignment?.metadata.annotations?.[annotations.reason] !== mismatch
  );
}

/** Of one scope: enough to keep the API server busy. Thousands would wait for their turn longer than a call may take. */
const atOnce = 20;

/**
 * Each object by itself: one that changed or went meanwhile is left to the event that says so, one that the API server does not take to the next
 * look (an Event tells of it), and none keeps the others waiting.
 */
async function forEachNeed(needs: readonly Need[], mark: (need: Need) => Promise<void>): Promise<void> {
  const isOfObject = (error: unknown) => isConflict(error) || isNotFound(error) || isInvalid(error);
  const failures: unknown[] = [];
  const waiting = needs.values();
  const work = async () => {
    for (const need of waiting)
      await mark(need).catch((error: unknown) => {
        if (!isOfObject(error)) failures.push(error);
      });
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  if (failures.length > 0) throw failures[0];
}

/** Assigned by aad-pod-identity, which leaves no note of ours: what the object stands for was attached before we came. */
const isTakenOver = (assignment: Assignment | undefined): boolean =>
  assignment?.status === 'Assigned' && assignment.metadata.annotations?.[annotations.scope] === undefined;

/** Attached under other ids than are noted: the identity was deleted and made anew meanwhile. */
const isRenewed = ({ status, metadata: { annotations: known = {} } }: Assignment, there: NonNullable<AttachedIdentity>): boolean =>
  status === 'Assigned' &&
  known[annotations.scope] !== undefined &&
  !(isSameId(known[annotations.clientId], there.clientId) && isSameId(known[annotations.objectId], there.principalId));

const isSameId = (a: string | undefined, b: string): boolean => a?.toLowerCase() === b.toLowerCase();

/** Ids that an aad-pod-identity MIC attached for these needs. */
export function takenOver(context: MarkContext, needs: readonly Need[], attached: ReadonlyMap<string, AttachedIdentity>): string[] {
  const ids = needs
    .filter((need) => attached.has(need.identityId) && isTakenOver(context.assignmentOf(need)))
    .map((need) => need.identityId);
  return [...new Set(ids)];
}

/** Created -> Assigned for what the scope has, with the ids that Azure reports for it; objects that were taken over get the ids only. */
export async function markAttached(
  context: MarkContext,
  needs: readonly Need[],
  attached: ReadonlyMap<string, AttachedIdentity>,
): Promise<void> {
  await forEachNeed(needs, async (need) => {
    const current = context.assignmentOf(need);
    const there = attached.get(need.identityId);
    const taken = isTakenOver(current);
    if (current === undefined || there === undefined || there === null) return;
    const renewed = isRenewed(current, there);
    if (!(taken || renewed || current.status === 'Created')) return;
    const { identity, binding } = need.match;
    if (identity.clientID !== '' && identity.clientID.toLowerCase() !== there.clientId.toLowerCase()) {
      const message = `AzureIdentity ${identity.key} has spec.clientID ${identity.clientID}, but its resourceID belongs to client id ${there.clientId}`;
      if (await note(context, current, { reason: 'ClientIDMismatch', message }, taken || renewed ? 'Created' : undefined)) {
        context.events.record(regardingIdentity(identity), 'Warning', 'ClientIDMismatch', message);
        context.events.record(regardingBinding(binding), 'Warning', 'binding apply error', message);
        context.events.record(regardingPod(need.pod), 'Warning', 'ClientIDMismatch', message);
      }
      return;
    }
    const ids = { scope: context.scope.displayId, clientId: there.clientId, objectId: there.principalId };
    if (taken) return context.objects.updateStatus(current, undefined, ids);
    const assignedAt = context.now().toISOString();
    if (renewed) return context.objects.updateStatus(current, undefined, { ...ids, assignedAt });
    await context.objects.updateStatus(current, 'Assigned', { ...ids, assignedAt, reason: null, message: null, retryAt: null });
    context.events.record(
      regardingBinding(binding),
      'Normal',
      'binding applied',
      `Binding ${binding.name} applied on node ${need.pod.node} for pod ${need.pod.name}`,
      // An identity that was changed in place is applied once more, within minutes at times.
      `applied ${need.pod.key} ${need.identityId}`,
    );
    const seconds = Math.max(0, Math.round((context.now().getTime() - Date.parse(current.metadata.creationTimestamp ?? '')) / 1000));
    const took = Number.isNaN(seconds) ? '' : ` after ${seconds} s`;
    tellPod(context, need, 'Normal', 'Attached', `is attached to ${context.scope.displayId}${took}`, `attached ${need.identityId}`);
  });
}

/** Notes on each waiting object of these identities why it waits, and tells its binding. */
export async function markFailed(
  context: MarkContext,
  needs: readonly Need[],
  identityIds: ReadonlySet<string>,
  failure: {
    reason: AssignmentReason;
    message: string;
    retryAtOf?(identityId: string): string;
    /** What the scope has, where that is known: an object that stands at Assigned for what it has not goes back to Created. */
    attached?: ReadonlyMap<string, AttachedIdentity> | undefined;
  },
): Promise<void> {
  await forEachNeed(needs, async (need) => {
    const current = context.assignmentOf(need);
    if (current === undefined || !identityIds.has(need.identityId)) return;
    const { reason, message, attached } = failure;
    // Another writer who is faster for a moment is no reason.
    const isLost = current.status === 'Assigned' && attached?.has(need.identityId) === false && reason !== 'Attaching';
    if (!(isLost || current.status === 'Created')) return;
    const { binding } = need.match;
    const retryAt = failure.retryAtOf?.(need.identityId) ?? null;
    const told = await note(context, current, { reason, message, retryAt }, isLost ? 'Created' : undefined);
    const where = `${binding.key} node ${need.pod.node} for pod ${need.pod.key}`;
    if (told)
      context.events.record(
        regardingBinding(binding),
        'Warning',
        'binding apply error',
        `failed to apply binding ${where}, error: ${message}`,
      );
    const next = retryAt === null ? '' : `; next try at ${retryAt}`;
    tellPod(context, need, 'Warning', reason, `waits: ${message}${next}`, reason);
  });
}

/** Tells the waiting pods of these identities that a write of theirs begins. */
export function tellAttaching(context: MarkContext, needs: readonly Need[], identityIds: readonly string[]): void {
  const begun = new Set(identityIds);
  const reason: AssignmentReason = 'Attaching';
  for (const need of needs)
    if (begun.has(need.identityId) && isWaiting(context.assignmentOf(need)))
      tellPod(context, need, 'Normal', reason, `is being attached to ${context.scope.displayId}`, `attaching ${need.identityId}`);
}

/** Tells each identity that is kept out of writes since when and why. `quarantineOf`: of an identity's lower-case id. */
export function tellQuarantined(
  context: MarkContext,
  needs: readonly Need[],
  quarantineOf: (identityId: string) => Quarantine | undefined,
  why: string,
): void {
  const told = new Set<string>();
  for (const { match, identityId } of needs) {
    const quarantine = quarantineOf(identityId);
    if (quarantine === undefined || told.has(match.identity.key)) continue;
    told.add(match.identity.key);
    const until = new Date(quarantine.until).toISOString();
    const message = `left out of writes to ${context.scope.displayId} until ${until}, so that it does not hold up others: ${why}`;
    context.events.record(
      regardingIdentity(match.identity),
      'Warning',
      'Quarantined',
      message,
      `${context.scope.id} ${quarantine.failures}`,
    );
  }
}

/** `what` completes "AzureIdentity x ..."; `same` stands for it where it has changing parts. */
function tellPod(context: MarkContext, need: Need, type: 'Normal' | 'Warning', reason: string, what: string, same = what): void {
  const subject = `AzureIdentity ${need.match.identity.key}`;
  context.events.record(regardingPod(need.pod), type, reason, `${subject} ${what}`, `${subject} ${same}`);
}

/** A time of the next try that is off by less is not worth a write of every waiting object. */
const retryStepMs = 60_000;

/** Writes the notes unless the same reason and message already stand there, for about the same time; tells whether it wrote. */
async function note(context: MarkContext, current: Assignment, notes: StatusAnnotations, status?: AssignmentStatus): Promise<boolean> {
  const known = current.metadata.annotations ?? {};
  const later = Date.parse(notes.retryAt ?? '') - Date.parse(known[annotations.retryAt] ?? '');
  if (known[annotations.reason] === notes.reason && known[annotations.message] === notes.message && !(later >= retryStepMs)) return false;
  await context.objects.updateStatus(current, status, notes);
  return true;
}
