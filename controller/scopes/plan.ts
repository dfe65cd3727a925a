// What to attach to and detach from one scope. Pure: from what pods need, what the ownership record says and what a GET just showed.
import type { Need } from '../../lib/identities/need.ts';
import type { Write } from '../azure/arm/identity-map.ts';
import type { Attached } from './observed-state.ts';
import type { OwnershipChange, OwnershipRecord } from './ownership.ts';

export interface PlanInput {
  record: OwnershipRecord;
  attached: Attached;
  /** The GET fell into an operation, which Azure may undo: what is absent then may come back. */
  operationInProgress: boolean;
  /** Lower-case ids that pods of this scope need, or that objects of theirs still call Assigned. */
  needed: ReadonlySet<string>;
  /** The part of them that may be attached. */
  attachable: ReadonlySet<string>;
  /** Ids that no pod needs and whose detach delay is over. */
  expired: ReadonlySet<string>;
  /** Attached ids that Azure no longer knows. Ours are detached, needed or not: they hold up every write. */
  gone: ReadonlySet<string>;
  /** The immutable list and the controller's own identity. */
  isProtected(id: string, clientId: string | undefined): boolean;
}

export const idsOfNeeds = (needs: readonly Need[]): Pick<PlanInput, 'needed' | 'attachable'> => ({
  needed: new Set(needs.map(({ identityId }) => identityId)),
  attachable: new Set(needs.filter(({ keepOnly }) => keepOnly !== true).map(({ identityId }) => identityId)),
});

export interface ScopePlan extends Write {
  /** Changes of the ownership record that must be stored before the write. */
  ownership: OwnershipChange[];
}

export function planScope(input: PlanInput): ScopePlan {
  const { record, attached, operationInProgress, needed, attachable, expired, gone } = input;
  const attach: string[] = [];
  const detach: string[] = [];
  const ownership: OwnershipChange[] = [];

  for (const id of needed) {
    const entry = record.identities.get(id);
    const present = attached.get(id);
    // Without our entry it is foreign and not ours to repair, whatever its state.
    const recreated = present === null && entry !== undefined;
    if (present === undefined || recreated) {
      if (!attachable.has(id)) continue;
      attach.push(id);
      if (entry === undefined) ownership.push([id, 'intent']);
      else if (entry.state === 'detaching') ownership.push([id, 'owned']);
    } else if (entry !== undefined && gone.has(id) && !input.isProtected(id, present?.clientId)) {
      detach.push(id);
      ownership.push([id, 'detaching']);
    } else if (entry !== undefined && entry.state !== 'owned') ownership.push([id, 'owned']);
  }

  for (const [id, entry] of record.identities) {
    if (needed.has(id)) continue;
    const present = attached.get(id);
    if (present === undefined) {
      if (!operationInProgress) ownership.push([id, undefined]);
    } else if (input.isProtected(id, present?.clientId)) {
      // It stays attached for ever: without an entry nothing will detach it.
      ownership.push([id, undefined]);
    } else if (expired.has(id) || gone.has(id)) {
      detach.push(id);
      ownership.push([id, 'detaching']);
    } else if (entry.state === 'intent') {
      ownership.push([id, 'owned']);
    }
  }
  return { attach, detach, ownership };
}

/** The changes to store before `write`, which is the part of the plan that is attempted: what is held back is not intended. */
export function ownershipBefore(plan: ScopePlan, write: Write): OwnershipChange[] {
  const attempted = new Set([...write.attach, ...write.detach]);
  const held = new Set([...plan.attach, ...plan.detach].filter((id) => !attempted.has(id)));
  return plan.ownership.filter(([id]) => !held.has(id));
}

/**
 * How a write ended for one identity. `done`: Azure says so. `failed`: Azure began and gave up. `refused`: Azure never began, so what is attached
 * now was not attached by us. `unclear`: unknown.
 */
export type WriteOutcome = 'done' | 'failed' | 'refused' | 'unclear';

export interface WriteEnd {
  write: Write;
  /** What was attached before the write. */
  before: Attached;
  /** What a GET after it showed. */
  after: Attached;
  /** That GET fell into an operation, perhaps the write's own. */
  operationInProgress: boolean;
  outcomeOf(id: string): WriteOutcome;
}

/**
 * The changes of the ownership record once a GET showed how the write ended. An entry claims the identity as ours. It goes as soon as what is
 * attached cannot be ours: otherwise a person who attaches it at that moment would lose it later.
 */
export function ownershipAfter(record: OwnershipRecord, end: WriteEnd): OwnershipChange[] {
  const { write, before, after, operationInProgress, outcomeOf } = end;
  const changes: OwnershipChange[] = [];
  for (const id of write.attach) {
    const outcome = outcomeOf(id);
    const refused = outcome === 'refused' && !before.has(id);
    if (after.has(id)) changes.push([id, refused ? undefined : 'owned']);
    else if (outcome !== 'unclear') changes.push([id, undefined]);
  }
  for (const id of write.detach) if (outcomeOf(id) === 'done' || !(operationInProgress || after.has(id))) changes.push([id, undefined]);
  return changes.filter(([id, state]) => record.identities.get(id)?.state !== state);
}
