// The identities of this pod as the broker last reported them.
import type { IdentitiesResponse, IdentityRow } from '../../api/broker.ts';
import { defaultKeyOf, rowKey } from '../../api/identity-choice.ts';
import type { Clock } from '../../common/clock.ts';
import type { Notifier } from '../notifier.ts';
import { createNotifier } from '../notifier.ts';

export interface View {
  pod: IdentitiesResponse['pod'];
  excepted: boolean;
  identities: readonly IdentityRow[];
  /** Key of the identity that serves requests which name none. */
  defaultKey: string | undefined;
  /** Clock.now() of the last change of the rows. */
  changedAt: number;
  /** Clock.now() of the last response of the broker, whether or not it changed anything. */
  confirmedAt: number;
  /** Clock.wall() at which this sidecar first saw an identity pending, by its key: the broker does not report since when. */
  pendingSince: ReadonlyMap<string, number>;
  /** Set when the broker says that this pod takes part no longer. */
  revoked?: { code: string; message: string };
}

export interface IdentityStore {
  /** Undefined until the broker has responded once. */
  readonly view: View | undefined;
  /** Why the last request to the broker failed; undefined when it succeeded. */
  readonly contactError: string | undefined;
  /** Clock.now() at which the sidecar started. */
  readonly startedAt: number;
  /** Notifies of every change of the view. */
  readonly changed: Notifier;
  accept(response: IdentitiesResponse): void;
  /** The broker says that nothing has changed. */
  confirm(): void;
  revoke(code: string, message: string): void;
  contactFailed(error: string): void;
}

export function createIdentityStore(clock: Clock): IdentityStore {
  const startedAt = clock.now();
  const changed = createNotifier();
  let view: View | undefined;
  let contactError: string | undefined;
  const replace = (next: View) => {
    view = next;
    changed.notify();
  };
  return {
    startedAt,
    changed,
    get view() {
      return view;
    },
    get contactError() {
      return contactError;
    },
    accept(response) {
      contactError = undefined;
      replace(viewOf(response, view, clock));
    },
    confirm() {
      contactError = undefined;
      if (view !== undefined) view = { ...view, confirmedAt: clock.now() };
    },
    revoke(code, message) {
      contactError = undefined;
      if (view?.revoked?.code === code) view = { ...view, confirmedAt: clock.now() };
      else replace(revokedView({ code, message }, view, clock));
    },
    contactFailed(error) {
      contactError = error;
    },
  };
}

function viewOf(response: IdentitiesResponse, previous: View | undefined, clock: Clock): View {
  const now = clock.now();
  const unchanged =
    previous !== undefined && previous.revoked === undefined && JSON.stringify(previous.identities) === JSON.stringify(response.identities);
  return {
    pod: response.pod,
    excepted: response.excepted,
    identities: response.identities,
    defaultKey: defaultKeyOf(response.pod, response.identities),
    pendingSince: pendingSince(response.identities, previous?.pendingSince, clock.wall()),
    changedAt: unchanged ? previous.changedAt : now,
    confirmedAt: now,
  };
}

function revokedView(revoked: NonNullable<View['revoked']>, previous: View | undefined, clock: Clock): View {
  const now = clock.now();
  return {
    pod: previous?.pod ?? { name: '', namespace: '', uid: '' },
    excepted: false,
    identities: [],
    defaultKey: undefined,
    changedAt: now,
    confirmedAt: now,
    pendingSince: new Map(),
    revoked,
  };
}

function pendingSince(rows: readonly IdentityRow[], before: ReadonlyMap<string, number> | undefined, wallMs: number): Map<string, number> {
  const pending = rows.filter((row) => row.state === 'Created').map(rowKey);
  return new Map(pending.map((key) => [key, before?.get(key) ?? wallMs]));
}
