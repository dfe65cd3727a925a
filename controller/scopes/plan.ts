// What to attach to and detach from one ARM scope: pure, from what is wanted, what is recorded and what a GET just showed.
import type { AttachedIdentity, Write } from '../azure/arm/identity-map.ts';
import type { EntryState, ScopeRecord } from './ownership.ts';

export interface ScopeSituation {
  record: ScopeRecord;
  /** By lower-case id. */
  attached: ReadonlyMap<string, AttachedIdentity>;
  /** The GET fell into an operation, which Azure may undo: what is absent then may come back. */
  moving: boolean;
  /** Lower-case ids that pods of this scope need. */
  wanted: ReadonlySet<string>;
  /** Ids that nothing needs any more and whose linger is over. */
  due: ReadonlySet<string>;
  /** The immutable list and the controller's own identity. */
  isProtected(id: string, clientId: string | undefined): boolean;
}

export interface ScopeDecision {
  adds: string[];
  removes: string[];
  /** Changes of the record that must be stored before the write; undefined drops an entry. */
  entries: [id: string, state: EntryState | undefined][];
}

export function decideScope(situation: ScopeSituation): ScopeDecision {
  const { record, attached, moving, wanted, due } = situation;
  const adds: string[] = [];
  const removes: string[] = [];
  const entries: ScopeDecision['entries'] = [];

  for (const id of wanted) {
    const entry = record.identities.get(id);
    const there = attached.get(id);
    // Without our entry it is foreign and not ours to repair, whatever its state.
    const recreated = there === null && entry !== undefined;
    if (there === undefined || recreated) {
      adds.push(id);
      if (entry === undefined) entries.push([id, 'intent']);
      else if (entry.state === 'detaching') entries.push([id, 'owned']);
    } else if (entry !== undefined && entry.state !== 'owned') entries.push([id, 'owned']);
  }

  for (const [id, entry] of record.identities) {
    if (wanted.has(id)) continue;
    const there = attached.get(id);
    if (there === undefined) {
      if (!moving) entries.push([id, undefined]);
    } else if (situation.isProtected(id, there?.clientId)) {
      // Ours or not, it stays for ever: without an entry nothing will ever remove it.
      entries.push([id, undefined]);
    } else if (due.has(id)) {
      removes.push(id);
      entries.push([id, 'detaching']);
    } else if (entry.state === 'intent') {
      entries.push([id, 'owned']);
    }
  }
  return { adds, removes, entries };
}

/** Entries for what is held back are left out: what is not attempted is not intended. */
export function entriesToStore(decision: ScopeDecision, chosen: Write): ScopeDecision['entries'] {
  const attempted = new Set([...chosen.attach, ...chosen.detach]);
  const held = new Set([...decision.adds, ...decision.removes].filter((id) => !attempted.has(id)));
  return decision.entries.filter(([id]) => !held.has(id));
}

/**
 * How a write ended for one identity. `done`: Azure says so. `failed`: Azure began and gave up. `refused`: Azure never began, so whatever is there
 * now, we did not do it. `unclear`: nobody knows.
 */
export type WriteOutcome = 'done' | 'failed' | 'refused' | 'unclear';

export interface WriteEnd {
  write: Write;
  /** What was attached before the write. */
  before: ReadonlyMap<string, AttachedIdentity>;
  /** And what a GET after it showed. */
  after: ReadonlyMap<string, AttachedIdentity>;
  /** That GET fell into an operation, perhaps the write's own. */
  moving: boolean;
  outcomeOf(id: string): WriteOutcome;
}

/**
 * What the record must say once a GET showed how the write ended. An entry claims the identity as ours: it goes as soon as what is there cannot be
 * ours, or somebody who attaches it in that moment would lose it later.
 */
export function settle(record: ScopeRecord, { write, before, after, moving, outcomeOf }: WriteEnd): ScopeDecision['entries'] {
  const entries: ScopeDecision['entries'] = [];
  for (const id of write.attach) {
    const outcome = outcomeOf(id);
    const refused = outcome === 'refused' && !before.has(id);
    if (after.has(id)) entries.push([id, refused ? undefined : 'owned']);
    else if (outcome !== 'unclear') entries.push([id, undefined]);
  }
  for (const id of write.detach) if (outcomeOf(id) === 'done' || !(moving || after.has(id))) entries.push([id, undefined]);
  return entries.filter(([id, state]) => record.identities.get(id)?.state !== state);
}
