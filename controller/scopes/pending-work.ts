// Whether a scope must be read, and perhaps written, now. Pure.
import type { Need } from '../../lib/identities/need.ts';
import { areWritesBlocked } from './backoff.ts';
import { isFresh, isReadDue } from './observed-state.ts';
import type { OwnershipRecord } from './ownership.ts';
import { isHeld } from './quarantine.ts';
import type { ScopeState } from './state.ts';

export interface PendingWorkInput {
  state: Pick<ScopeState, 'observed' | 'backoff' | 'quarantine' | 'heldUntil'>;
  record: OwnershipRecord;
  needs: readonly Need[];
  /** Ids that no pod needs and whose detach delay is over. */
  expired: ReadonlySet<string>;
  /** The object of this need waits for Azure. */
  isWaiting(need: Need): boolean;
  intervalMs: number;
  now: number;
}

export function hasPendingWork({ state, record, needs, expired, isWaiting, intervalMs, now }: PendingWorkInput): boolean {
  const { observed, backoff, quarantine, heldUntil } = state;
  const { attached } = observed;
  if (attached === undefined || isReadDue(observed, intervalMs, now)) return needs.length > 0 || record.identities.size > 0;
  const fresh = isFresh(observed, intervalMs, now);
  if (!fresh && needs.some((need) => attached.get(need.identityId) && isWaiting(need))) return true;
  if (fresh && areWritesBlocked(backoff, now)) return false;
  if (heldUntil <= now) return true;
  // A recreated identity of ours has to be attached anew; a foreign one is not ours to repair.
  const lacks = (id: string) => !attached.has(id) || (attached.get(id) === null && record.identities.has(id));
  if (needs.some(({ identityId: id }) => lacks(id) && !isHeld(quarantine, 'attach', id))) return true;
  if ([...expired].some((id) => !isHeld(quarantine, 'detach', id))) return true;
  return [...record.identities].some(
    ([id, { state: entry }]) => entry === 'intent' || (entry === 'detaching' && !isHeld(quarantine, 'detach', id)),
  );
}
