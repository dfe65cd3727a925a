// Which identity serves a request, or why none does now or ever (docs/adr/0019-choice-of-identity-and-waiting.md). Pure.
import type { IdentityRow } from '../../api/broker.ts';
import type { Selector } from '../../api/identity-choice.ts';
import { findRow, mayStillMatch, rowKey } from '../../api/identity-choice.ts';
import { failedMessage, notFoundMessage, pendingMessage, revokedMessage, unknownIdsMessage, unreachedBrokerMessage } from './messages.ts';
import type { IdentityStore } from './store.ts';

export type Choice =
  | { kind: 'row'; row: IdentityRow }
  /** Not decidable yet: the request waits for a change until its deadline. */
  | { kind: 'pending'; message: string }
  /** Not bound, but a binding may be on its way until `until` (Clock.now()). */
  | { kind: 'unbound'; until: number; message: string }
  | { kind: 'refused'; message: string }
  /** The pod matches an AzurePodIdentityException: IMDS serves the request. */
  | { kind: 'excepted' };

/** While the sidecar is younger than this, objects that were made together with the pod may not have arrived yet. */
const startupMs = 120_000;
/** For this long after a change of the rows, the next change may follow. */
const settlingMs = 10_000;

export interface ChoiceInput {
  store: Pick<IdentityStore, 'view' | 'contactError' | 'startedAt'>;
  selector: Selector | undefined;
  /** Clock.now() of this decision. */
  now: number;
  /** Clock.now() at which the request came. */
  arrival: number;
  /** How long a request waits for an identity that is not bound. */
  unknownIdentityMs: number;
}

/** Never substitutes another identity for one that is not ready. */
export function choose({ store, selector, now, arrival, unknownIdentityMs }: ChoiceInput): Choice {
  const { view } = store;
  if (view === undefined) return { kind: 'pending', message: unreachedBrokerMessage(now - store.startedAt, store.contactError) };
  if (view.revoked !== undefined) return { kind: 'refused', message: revokedMessage(view.revoked) };
  if (view.excepted) return { kind: 'excepted' };

  const row =
    selector === undefined
      ? view.identities.find((candidate) => rowKey(candidate) === view.defaultKey)
      : findRow(view.identities, selector, view.pod.namespace);
  if (row !== undefined) return row.state === 'Failed' ? { kind: 'refused', message: failedMessage(row) } : { kind: 'row', row };
  const isYoung = arrival - store.startedAt < startupMs;
  if (selector !== undefined) {
    // An identity that another namespace adds later must not turn a refusal into a wait.
    const incomplete = view.identities.find(
      (candidate) => mayStillMatch(candidate, selector.name) && (isYoung || candidate.namespace === view.pod.namespace),
    );
    if (incomplete !== undefined)
      return { kind: 'pending', message: unknownIdsMessage(selector, pendingMessage(incomplete, view, store.contactError)) };
  }

  const message = notFoundMessage(view, selector);
  if (view.identities.length === 0) return { kind: now - store.startedAt < startupMs ? 'pending' : 'refused', message };
  const changing = isYoung || arrival - view.changedAt < settlingMs;
  return changing ? { kind: 'unbound', until: arrival + unknownIdentityMs, message } : { kind: 'refused', message };
}
