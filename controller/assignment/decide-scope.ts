// What to attach to and detach from one ARM scope: pure, from what is wanted, what is recorded and what a GET just showed.
import type { AttachedIdentity, Write } from '../azure/plan.ts';
import type { EntryState, ScopeRecord } from './scope-record.ts';

export interface ScopeSituation {
  record: ScopeRecord;
  /** By lower-case id. */
  attached: ReadonlyMap<string, AttachedIdentity>;
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
  const { record, attached, wanted, due } = situation;
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
      entries.push([id, undefined]);
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

/** What the record must say once a GET showed how the write ended. */
export function settle(record: ScopeRecord, attached: ReadonlyMap<string, AttachedIdentity>, write: Write): ScopeDecision['entries'] {
  const entries: ScopeDecision['entries'] = [];
  for (const id of write.attach) if (attached.has(id)) entries.push([id, 'owned']);
  for (const id of write.detach) if (!attached.has(id)) entries.push([id, undefined]);
  return entries.filter(([id, state]) => record.identities.get(id)?.state !== state);
}
