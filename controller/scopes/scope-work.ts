// Whether a scope has to be looked at, and perhaps written, now. Pure.
import type { Need } from '../../lib/identities/need.ts';
import type { Holds } from './backoff.ts';
import type { Attached } from './observed-state.ts';
import type { ScopeRecord } from './ownership.ts';

export interface WorkSituation {
  record: ScopeRecord;
  needs: readonly Need[];
  /** Ids that nothing needs any more and whose linger is over. */
  due: ReadonlySet<string>;
  /** What the last look showed; undefined where the next one is due. */
  attached: Attached | undefined;
  /** That look is recent enough to be acted upon. */
  fresh: boolean;
  isWaiting(need: Need): boolean;
  holds: Pick<Holds, 'areWritesResting' | 'isDue' | 'isHeld'>;
  now: number;
}

export function hasWork({ record, needs, due, attached, fresh, isWaiting, holds, now }: WorkSituation): boolean {
  if (attached === undefined) return needs.length > 0 || record.identities.size > 0;
  if (!fresh && needs.some((need) => attached.get(need.identityId) && isWaiting(need))) return true;
  if (fresh && holds.areWritesResting(now)) return false;
  if (holds.isDue(now)) return true;
  // A recreated identity that is ours has to be attached anew; another's is not ours to repair.
  const lacks = (id: string) => !attached.has(id) || (attached.get(id) === null && record.identities.has(id));
  if (needs.some(({ identityId: id }) => lacks(id) && !holds.isHeld('attach', id))) return true;
  if ([...due].some((id) => !holds.isHeld('detach', id))) return true;
  return [...record.identities].some(([id, { state }]) => state === 'intent' || (state === 'detaching' && !holds.isHeld('detach', id)));
}
