// Which identity answers a request, or why none does yet or ever (design 5, identity choice and waiting). Pure.
import type { IdentityRow } from '../../api/broker.ts';
import type { IdentityStore, View } from './store.ts';
import { rowKey } from './store.ts';
import { failedText, notFoundText, pendingText, revokedText, silentBrokerText } from './texts.ts';

export type SelectorName = 'client_id' | 'object_id' | 'msi_res_id';
export interface Selector {
  name: SelectorName;
  value: string;
}

export type Choice =
  | { kind: 'row'; row: IdentityRow }
  /** Not decidable yet: wait for a change, at the deadline 503. */
  | { kind: 'pending'; text: string }
  /** Not bound, and time may still change that: refuse at `until` (Clock.now()). */
  | { kind: 'unbound'; until: number; text: string }
  | { kind: 'refused'; text: string }
  | { kind: 'excepted' };

const youngMs = 120_000;
const settlingMs = 10_000;

export interface ChoiceInput {
  store: Pick<IdentityStore, 'view' | 'trouble' | 'startedAt'>;
  selector: Selector | undefined;
  /** Clock.now() of this decision, and of the request's arrival. */
  now: number;
  arrival: number;
  unknownIdentityMs: number;
}

export function choose({ store, selector, now, arrival, unknownIdentityMs }: ChoiceInput): Choice {
  const { view } = store;
  if (view === undefined) return { kind: 'pending', text: silentBrokerText(now - store.startedAt, store.trouble) };
  if (view.revoked !== undefined) return { kind: 'refused', text: revokedText(view.revoked) };
  if (view.excepted) return { kind: 'excepted' };

  const row = selector === undefined ? view.identities.find((candidate) => rowKey(candidate) === view.defaultKey) : findRow(view, selector);
  if (row !== undefined) {
    return row.state === 'Failed' ? { kind: 'refused', text: failedText(row) } : { kind: 'row', row };
  }
  const incomplete = selector === undefined ? undefined : view.identities.find((candidate) => mayStillMatch(candidate, selector));
  if (incomplete !== undefined) {
    return { kind: 'pending', text: `${selector?.name} is known once the identity is assigned, and ${pendingText(incomplete, store)}` };
  }
  const text = notFoundText(view, selector);
  const young = now - store.startedAt < youngMs;
  if (view.identities.length === 0) return young ? { kind: 'pending', text } : { kind: 'refused', text };
  const settling = arrival - store.startedAt < youngMs || arrival - view.changedAt < settlingMs;
  return settling ? { kind: 'unbound', until: arrival + unknownIdentityMs, text } : { kind: 'refused', text };
}

function findRow(view: View, selector: Selector): IdentityRow | undefined {
  const wanted = selector.value.toLowerCase();
  return view.identities.find((row) => idOf(row, selector.name).toLowerCase() === wanted);
}

function idOf(row: IdentityRow, name: SelectorName): string {
  return name === 'client_id' ? row.clientID : name === 'object_id' ? (row.objectID ?? '') : row.resourceID;
}

/** Azure tells the ids of an identity when it is attached; until then this row may be the one that is asked for. */
function mayStillMatch(row: IdentityRow, selector: Selector): boolean {
  return row.state === 'Created' && row.type === 0 && selector.name !== 'msi_res_id' && idOf(row, selector.name) === '';
}
