// Since when AzureAssignedIdentities wait to be Assigned, of all that this replica's cache holds.
import { annotations } from '../../api/names.ts';
import type { Clock } from '../../common/clock.ts';
import type { Assignment } from '../../lib/identities/assignment.ts';
import { isAssignmentReason } from '../../lib/identities/reasons.ts';
import type { Informer } from '../../lib/kube/informer.ts';

export interface WaitingTimes {
  /** Seconds that the oldest one waits, by the reason that it has now: `none` for one without a reason yet. */
  oldest(): ReadonlyMap<string, number>;
}

/** An object that loses its identity waits from then on, so its age alone does not tell. */
export function watchWaiting(assignments: Pick<Informer<Assignment>, 'get' | 'onChange'>, clock: Clock): WaitingTimes {
  const waitingSince = new Map<string, number>();
  assignments.onChange(({ key, before, after }) => {
    if (after === undefined || !isWaiting(after)) waitingSince.delete(key);
    else if (before === undefined) waitingSince.set(key, firstWaitedAt(after) ?? clock.wall());
    else if (!isWaiting(before) || before.podUid !== after.podUid) waitingSince.set(key, clock.wall());
  });
  return {
    oldest() {
      const now = clock.wall();
      const byReason = new Map<string, number>();
      for (const [key, since] of waitingSince) {
        const reason = reasonOf(assignments.get(key));
        byReason.set(reason, Math.max(byReason.get(reason) ?? 0, (now - since) / 1000));
      }
      return byReason;
    },
  };
}

const isWaiting = ({ status, metadata }: Assignment): boolean => status === 'Created' && metadata.deletionTimestamp === undefined;

/** Undefined for one that has been Assigned since: when that ended is not written anywhere. */
function firstWaitedAt({ metadata }: Assignment): number | undefined {
  if (metadata.annotations?.[annotations.assignedAt] !== undefined) return undefined;
  const created = Date.parse(metadata.creationTimestamp ?? '');
  return Number.isNaN(created) ? undefined : created;
}

/** Whoever may write the object may write any text there, and each reason is a series. */
function reasonOf(assignment: Assignment | undefined): string {
  const reason = assignment?.metadata.annotations?.[annotations.reason];
  if (reason === undefined) return 'none';
  return isAssignmentReason(reason) ? reason : 'other';
}
