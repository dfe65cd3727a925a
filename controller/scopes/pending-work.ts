// Whether a scope must be read, and perhaps written, now. Pure. A GET is spent only where it can lead to something: a tenant who makes one object
// after the other must not use up the reads of the scope.
import type { Need } from '../../lib/identities/need.ts';
import { entriesOf } from './attribution.ts';
import { areWritesBlocked } from './backoff.ts';
import { isFresh, isReadDue } from './observed-state.ts';
import type { OwnershipRecord } from './ownership.ts';
import type { PlanInput } from './plan.ts';
import { idsOfNeeds, planScope } from './plan.ts';
import type { ScopeState } from './state.ts';
import { select } from './state.ts';

export interface PendingWorkInput extends Pick<PlanInput, 'expired' | 'isProtected'> {
  state: ScopeState;
  record: OwnershipRecord;
  needs: readonly Need[];
  /** The object of this need waits for Azure. */
  isWaiting(need: Need): boolean;
  intervalMs: number;
  now: number;
}

export interface PendingWork {
  pending: boolean;
  /** When something that is held back may be written; infinite: nothing is. */
  nextAt: number;
}

export function pendingWork({ state, record, needs, expired, isProtected, isWaiting, intervalMs, now }: PendingWorkInput): PendingWork {
  const { observed } = state;
  const { attached } = observed;
  const never = Number.POSITIVE_INFINITY;
  if (attached === undefined || isReadDue(observed, intervalMs, now))
    return { pending: needs.length > 0 || record.identities.size > 0, nextAt: never };

  const ids = idsOfNeeds(needs);
  const plan = planScope({ ...ids, record, attached, operationInProgress: false, expired, gone: state.gone, isProtected });
  const { selected, nextAt } = select(state, entriesOf(plan, needs, state.quarantine, now), now);
  const fresh = isFresh(observed, intervalMs, now);
  if (!fresh && needs.some((need) => attached.get(need.identityId) && isWaiting(need))) return { pending: true, nextAt };
  if (fresh && areWritesBlocked(state.backoff, now)) return { pending: false, nextAt };
  // How these began or ended, only a GET shows.
  const isOpen = [...record.identities].some(
    ([id, { state: entry }]) => entry === 'intent' || (entry === 'detaching' && ids.needed.has(id)),
  );
  return { pending: selected !== undefined || isOpen, nextAt };
}
