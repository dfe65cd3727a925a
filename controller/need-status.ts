// What the reconcilers of scopes and of federated identities have in common when they write the status of the objects of their needs.
import type { AssignmentStatus } from '../api/kinds.ts';
import { annotations } from '../api/names.ts';
import type { Assignment } from '../lib/identities/assignment.ts';
import type { Identity } from '../lib/identities/identity.ts';
import type { Need } from '../lib/identities/need.ts';
import type { StatusAnnotations, StatusWriter } from '../lib/identities/status-writer.ts';
import { isConflict, isInvalid, isNotFound } from '../lib/kube/errors.ts';

export interface NeedStatusContext {
  assignmentOf(need: Need): Assignment | undefined;
  statuses: StatusWriter;
}

/** Writes at the same time for one key. Thousands at once would wait for their turn longer than a call may take. */
const concurrency = 20;

/** A retry time that moves by less is not worth a write of every waiting object. */
const retryStepMs = 60_000;

/** The object says already why it waits. */
export const hasReason = (assignment: Assignment | undefined): boolean =>
  assignment?.metadata.annotations?.[annotations.reason] !== undefined;

/**
 * Each object by itself. One that changed or is gone is left to the event that says so. One that the API server refuses as invalid does not fail the
 * others. Throws after all were tried; the error names every other failure.
 */
export async function forEachNeed(needs: readonly Need[], write: (need: Need) => Promise<void>): Promise<void> {
  const concernsObjectOnly = (error: unknown) => isConflict(error) || isNotFound(error) || isInvalid(error);
  const failures: unknown[] = [];
  const waiting = needs.values();
  const work = async () => {
    for (const need of waiting)
      await write(need).catch((error: unknown) => {
        if (!concernsObjectOnly(error)) failures.push(error);
      });
  };
  await Promise.all(Array.from({ length: concurrency }, work));
  if (failures.length === 1) throw failures[0];
  if (failures.length > 1)
    throw new AggregateError(failures, `${failures.length} status writes failed: ${[...new Set(failures.map(String))].join('; ')}`);
}

/** Writes the annotations unless the same reason and message are there for about the same time; returns whether it wrote. */
export async function updateIfChanged(
  { statuses }: Pick<NeedStatusContext, 'statuses'>,
  current: Assignment,
  changes: StatusAnnotations,
  status: AssignmentStatus | undefined,
): Promise<boolean> {
  const known = current.metadata.annotations ?? {};
  const laterMs = Date.parse(changes.retryAt ?? '') - Date.parse(known[annotations.retryAt] ?? '');
  const isSame = known[annotations.reason] === changes.reason && known[annotations.message] === changes.message;
  if (isSame && !(laterMs >= retryStepMs)) return false;
  await statuses.updateStatus(current, status, changes);
  return true;
}

/** Of an object whose AzureIdentity has the client id of another resource. The ids are enough to mend it. */
export const clientIdMismatchMessage = ({ key, name, namespace, clientID }: Identity, actual: string): string =>
  `AzureIdentity ${key} has spec.clientID ${clientID}, but its spec.resourceID belongs to client id ${actual}: set spec.clientID to that ` +
  `(kubectl patch azureidentity ${name} -n ${namespace} --type merge -p '{"spec":{"clientID":"${actual}"}}'), or correct spec.resourceID`;

/** Client and object ids, of which Azure and authors differ in case. */
export const isSameId = (a: string | undefined, b: string): boolean => a?.toLowerCase() === b.toLowerCase();
