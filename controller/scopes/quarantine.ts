// One bad identity makes ARM refuse a whole write (docs/reference/arm.md#identity-errors). The quarantine finds out which one it is, keeps it out for a
// while and lets the others through. A namespace can only hold up itself (docs/adr/0009-quarantine-of-bad-identities.md):
//
// - Entries belong to the namespace of their AzureIdentity. A namespace that was to blame lately is written by itself, never together with others.
// - What failed without a name is split by namespace first, then by halves within one namespace.
//
// select-write.ts decides by it what is written next.
//
// Each scope has its own quarantine. Pure: the caller keeps the state and reports how each write ended.
import type { Write } from '../azure/arm/identity-map.ts';

export type Direction = 'attach' | 'detach';

/** One identity that is to be attached or detached. */
export interface Entry {
  readonly direction: Direction;
  /** Lower-case ARM id. */
  readonly id: string;
  /** Of the AzureIdentity; empty for a removal, which belongs to nobody any more. */
  readonly namespace: string;
}

export interface HeldEntry {
  /** Failures in a row, alone or by name. */
  readonly failures: number;
  /** Milliseconds since the epoch. */
  readonly until: number;
}

export interface Quarantine {
  /** By {@link keyOf}: an identity that cannot be attached can still be detached. */
  readonly held: ReadonlyMap<string, HeldEntry>;
  /** Keys of entries that failed together without a name, oldest first. Each group is tried by itself. */
  readonly suspects: readonly (readonly string[])[];
  /** By namespace: when it was to blame for a failed write, within the window; milliseconds since the epoch. */
  readonly blamed: ReadonlyMap<string, readonly number[]>;
  /** By namespace that was to blame: when a trial of it failed, within the window. */
  readonly failedTrials: ReadonlyMap<string, readonly number[]>;
  /** By namespace that was to blame: when a trial of it succeeded, within the window. */
  readonly succeededTrials: ReadonlyMap<string, readonly number[]>;
}

export const emptyQuarantine: Quarantine = {
  held: new Map(),
  suspects: [],
  blamed: new Map(),
  failedTrials: new Map(),
  succeededTrials: new Map(),
};

export const windowMs = 10 * 60_000;
const firstHoldMs = 60_000;
const longestHoldMs = 60 * 60_000;

export const keyOf = ({ direction, id }: Pick<Entry, 'direction' | 'id'>): string => `${direction} ${id}`;

export const writeOf = (entries: readonly Entry[]): Write => ({
  attach: entries.filter(({ direction }) => direction === 'attach').map(({ id }) => id),
  detach: entries.filter(({ direction }) => direction === 'detach').map(({ id }) => id),
});

/** `trial`: it held only entries of namespaces that are suspected or were to blame. */
export interface WrittenSelection {
  readonly entries: readonly Entry[];
  readonly trial: boolean;
}

/** `culprits`: ids that the failure named; empty where it named none. */
export type Outcome = { readonly ok: true } | { readonly ok: false; readonly culprits: ReadonlySet<string> };

/**
 * The state after a selection was written. Only failures that an entry can have caused belong here: not throttling, conflicts, a missing role on the
 * scope or a broken connection.
 */
export function afterWrite(before: Quarantine, { entries, trial }: WrittenSelection, outcome: Outcome, now: number): Quarantine {
  const quarantine = trial && !outcome.ok ? withFailedTrial(before, entries, now) : before;
  const written = new Set(entries.map(keyOf));
  const untouched = quarantine.suspects.map((group) => group.filter((key) => !written.has(key))).filter(isNotEmpty);
  const held = new Map(quarantine.held);
  if (outcome.ok) {
    for (const key of written) held.delete(key);
    const succeededTrials = trial
      ? withTimes(quarantine.succeededTrials, blamedAmong(quarantine, entries, now), now)
      : quarantine.succeededTrials;
    return { ...quarantine, suspects: untouched, held, succeededTrials };
  }
  const named = entries.filter(({ id }) => outcome.culprits.has(id));
  const guilty = named.length > 0 ? named : entries.length === 1 ? entries : [];
  for (const entry of guilty) held.set(keyOf(entry), prolonged(held.get(keyOf(entry)), now));
  const namespaces = new Set(entries.map(({ namespace }) => namespace));
  const blamed = guilty.length > 0 ? guilty.map(({ namespace }) => namespace) : namespaces.size === 1 ? namespaces : [];
  // Where Azure names the culprits, the others are not suspects: they go on at once.
  const parts = guilty.length > 0 ? [] : split(entries).map((part) => part.map(keyOf));
  return { ...quarantine, held, blamed: withTimes(quarantine.blamed, blamed, now), suspects: [...parts, ...untouched] };
}

/** Without the state of what is no longer wanted, so that it does not grow for ever. Who was to blame is remembered for the window. */
export function forgetUnwanted(quarantine: Quarantine, wanted: readonly Entry[], now: number): Quarantine {
  const keys = new Set(wanted.map(keyOf));
  const recent = (times: Quarantine['failedTrials']) =>
    new Map([...times].map(([namespace, at]) => [namespace, within(at, now)] as const).filter(([, at]) => at.length > 0));
  return {
    held: new Map([...quarantine.held].filter(([key]) => keys.has(key))),
    suspects: quarantine.suspects.map((group) => group.filter((key) => keys.has(key))).filter(isNotEmpty),
    blamed: recent(quarantine.blamed),
    failedTrials: recent(quarantine.failedTrials),
    succeededTrials: recent(quarantine.succeededTrials),
  };
}

/** Ends the time that an identity is kept out of writes. Its failures and the budget of its namespace still count. */
export function lift(quarantine: Quarantine, id: string, now: number): Quarantine {
  const key = keyOf({ direction: 'attach', id });
  const entry = quarantine.held.get(key);
  if (entry === undefined) return quarantine;
  return { ...quarantine, held: new Map(quarantine.held).set(key, { ...entry, until: Math.min(entry.until, now) }) };
}

export const heldEntryOf = (quarantine: Quarantine, id: string): HeldEntry | undefined =>
  quarantine.held.get(keyOf({ direction: 'attach', id }));

/** Identities that are kept out of writes now. */
export const countHeld = ({ held }: Quarantine, now: number): number => [...held.values()].filter(({ until }) => until > now).length;

/** How suspect a namespace is: how often it was to blame within the window. */
export const suspicionOf = (quarantine: Quarantine, namespace: string, now: number): number =>
  within(quarantine.blamed.get(namespace), now).length;

/** By namespace where there are several; else removals apart from additions, since a removal that fails must not keep a pod waiting; else by half. */
function split(entries: readonly Entry[]): Entry[][] {
  const byNamespace = [...Map.groupBy(entries, ({ namespace }) => namespace).values()].sort((a, b) => a.length - b.length);
  const byDirection = [...Map.groupBy(entries, ({ direction }) => direction).values()];
  const parts = byNamespace.length > 1 ? byNamespace : byDirection.length > 1 ? byDirection : entries.map((entry) => [entry]);
  const middle = Math.ceil(parts.length / 2);
  return [parts.slice(0, middle).flat(), parts.slice(middle).flat()].filter(isNotEmpty);
}

function prolonged(before: HeldEntry | undefined, now: number): HeldEntry {
  const failures = (before?.failures ?? 0) + 1;
  return { failures, until: now + Math.min(longestHoldMs, firstHoldMs * 2 ** Math.min(failures - 1, 10)) };
}

/**
 * Counts only for a namespace that was to blame, which is always by itself. Another one is suspected because of others: it must not use up its budget,
 * and it is to blame or free after its first trial.
 */
const withFailedTrial = (quarantine: Quarantine, entries: readonly Entry[], now: number): Quarantine => ({
  ...quarantine,
  failedTrials: withTimes(quarantine.failedTrials, blamedAmong(quarantine, entries, now), now),
});

const blamedAmong = (quarantine: Quarantine, entries: readonly Entry[], now: number): string[] =>
  entries.map(({ namespace }) => namespace).filter((namespace) => suspicionOf(quarantine, namespace, now) > 0);

function withTimes(times: Quarantine['failedTrials'], namespaces: Iterable<string>, now: number): Quarantine['failedTrials'] {
  const next = new Map(times);
  for (const namespace of new Set(namespaces)) next.set(namespace, [...within(times.get(namespace), now), now]);
  return next;
}

/** The times that still count. */
export const within = (times: readonly number[] | undefined, now: number): readonly number[] =>
  (times ?? []).filter((at) => at > now - windowMs);

const isNotEmpty = (list: readonly unknown[]): boolean => list.length > 0;
