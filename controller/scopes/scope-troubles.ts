// Why identities of a scope are not attached, kept for pods that come while nothing is tried: theirs would wait in silence, for a minute or an hour.
import { annotations } from '../../api/names.ts';
import type { Need } from '../../lib/identities/need.ts';
import type { AssignmentReason } from '../../lib/identities/reasons.ts';
import type { MarkContext } from './status.ts';
import { markFailed } from './status.ts';

export interface Trouble {
  reason: AssignmentReason;
  message: string;
  /** When the next try is due; milliseconds since the epoch. */
  until: number;
}

export function createTroubles(context: MarkContext) {
  const ofIdentity = new Map<string, Trouble>();
  let ofScope: Trouble | undefined;

  return {
    /** `ids`: lower-case ids of the identities that are held back; undefined: all that are not attached yet. */
    note(ids: Iterable<string> | undefined, trouble: Trouble): void {
      if (ids === undefined) ofScope = trouble;
      else for (const id of ids) ofIdentity.set(id, trouble);
    },

    /** Tells those needs, of which none is attached, that were not told anything yet. */
    async tell(needs: readonly Need[]): Promise<void> {
      const now = context.now().getTime();
      for (const [id, { until }] of ofIdentity) if (until <= now) ofIdentity.delete(id);
      if (ofScope !== undefined && ofScope.until <= now) ofScope = undefined;
      const untold = needs.filter((need) => context.assignmentOf(need)?.metadata.annotations?.[annotations.reason] === undefined);
      const held = Map.groupBy(untold, ({ identityId }) => ofIdentity.get(identityId) ?? ofScope);
      for (const [trouble, of] of held) {
        if (trouble === undefined) continue;
        const { reason, message, until } = trouble;
        const ids = new Set(of.map(({ identityId }) => identityId));
        await markFailed(context, of, ids, { reason, message, retryAtOf: () => new Date(until).toISOString() });
      }
    },
  };
}
