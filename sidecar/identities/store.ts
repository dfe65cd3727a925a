// What this pod may be, as last heard from the broker, and the event that wakes requests when it changes.
import type { IdentitiesAnswer, IdentityRow } from '../../api/broker.ts';
import type { Clock } from '../../common/clock.ts';
import type { Event } from '../time.ts';
import { createEvent } from '../time.ts';

export interface View {
  pod: IdentitiesAnswer['pod'];
  excepted: boolean;
  identities: readonly IdentityRow[];
  /** {@link rowKey} of the identity that answers requests which name none; kept while it is bound. */
  defaultKey: string | undefined;
  /** Clock.now() of the last change of rows, and of the last word of the broker that confirmed them. */
  changedAt: number;
  confirmedAt: number;
  /** Clock.wall() at which this sidecar first saw an identity pending, by {@link rowKey}: the broker does not tell since when. */
  pendingSince: ReadonlyMap<string, number>;
  /** The broker's words, when it says that this pod takes part no longer. */
  revoked?: { code: string; message: string };
}

export interface IdentityStore {
  /** Undefined until the broker has spoken once. */
  readonly view: View | undefined;
  /** Why there is no newer word from the broker; undefined while contact is good. */
  readonly trouble: string | undefined;
  readonly startedAt: number;
  /** Fires on every change of the view. */
  readonly changed: Event;
  accept(answer: IdentitiesAnswer): void;
  confirm(): void;
  revoke(code: string, message: string): void;
  fail(trouble: string): void;
}

export const rowKey = (row: Pick<IdentityRow, 'namespace' | 'name'>) => `${row.namespace}/${row.name}`;

export function createIdentityStore(clock: Clock): IdentityStore {
  const startedAt = clock.now();
  const changed = createEvent();
  let view: View | undefined;
  let trouble: string | undefined;
  const replace = (next: View) => {
    view = next;
    changed.fire();
  };
  return {
    startedAt,
    changed,
    get view() {
      return view;
    },
    get trouble() {
      return trouble;
    },
    accept(answer) {
      const now = clock.now();
      trouble = undefined;
      const same =
        view !== undefined && view.revoked === undefined && JSON.stringify(view.identities) === JSON.stringify(answer.identities);
      replace({
        pod: answer.pod,
        excepted: answer.excepted,
        identities: answer.identities,
        defaultKey: defaultKeyOf(answer, view?.defaultKey),
        pendingSince: pendingSince(answer.identities, view?.pendingSince, clock.wall()),
        changedAt: same && view !== undefined ? view.changedAt : now,
        confirmedAt: now,
      });
    },
    confirm() {
      trouble = undefined;
      if (view !== undefined) view = { ...view, confirmedAt: clock.now() };
    },
    revoke(code, message) {
      const now = clock.now();
      trouble = undefined;
      if (view?.revoked?.code === code) view = { ...view, confirmedAt: now };
      else {
        const pod = view?.pod ?? { name: '', namespace: '', uid: '' };
        replace({
          pod,
          excepted: false,
          identities: [],
          defaultKey: undefined,
          changedAt: now,
          confirmedAt: now,
          pendingSince: new Map(),
          revoked: { code, message },
        });
      }
    },
    fail(reason) {
      trouble = reason;
    },
  };
}

/** The pod's annotation decides (a bare name means the pod's namespace, else the first of that name); without one, the first stays the default. */
function defaultKeyOf(answer: IdentitiesAnswer, previous: string | undefined): string | undefined {
  const keys = answer.identities.map(rowKey);
  const wanted = answer.pod.defaultIdentity;
  if (wanted !== undefined) {
    if (wanted.includes('/')) return wanted;
    const own = rowKey({ namespace: answer.pod.namespace, name: wanted });
    if (keys.includes(own)) return own;
    const other = answer.identities.find((row) => row.name === wanted);
    return other === undefined ? own : rowKey(other);
  }
  return previous !== undefined && keys.includes(previous) ? previous : keys[0];
}

function pendingSince(rows: readonly IdentityRow[], before: ReadonlyMap<string, number> | undefined, wallMs: number): Map<string, number> {
  const pending = rows.filter((row) => row.state === 'Created').map(rowKey);
  return new Map(pending.map((key) => [key, before?.get(key) ?? wallMs]));
}
