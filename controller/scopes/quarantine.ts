// One bad identity makes ARM refuse a whole write (docs/reference/arm.md#identity-errors). The quarantine finds out which one it is, keeps it out for a
// while and lets the others through. A namespace can only hold up itself (docs/adr/0009-quarantine-of-bad-identities.md):
//
// - Entries belong to the namespace of their AzureIdentity. A namespace that was to blame lately is written by itself, never together with others.
// - What failed without a name is split by namespace first, then by halves within one namespace.
// - Failed trials have a budget per namespace. The namespace with the fewest failures is tried first.
// - A selection is one PATCH. Where it cannot hold all, the namespaces take turns.
//
// Each scope has its own quarantine. Pure: the caller keeps the state and reports how each write ended.
import type { Write } from '../azure/arm/identity-map.ts';
import { maxEntries } from '../azure/arm/identity-map.ts';

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

/** The search of one namespace must leave room for other writes: Azure allows a scale set few of them (docs/reference/arm.md#throttling). */
const failedTrialsInWindow = 4;
export const windowMs = 10 * 60_000;
const firstHoldMs = 60_000;
const longestHoldMs = 60 * 60_000;

export interface Selection {
  /** What may be written now; empty: nothing. */
  readonly entries: readonly Entry[];
  /** It holds only entries of namespaces that are suspected or were to blame. {@link afterWrite} needs to know. */
  readonly trial: boolean;
  /** When something that is held back now may be written; infinite: nothing is. Milliseconds since the epoch. */
  readonly nextAt: number;
}

export const keyOf = ({ direction, id }: Pick<Entry, 'direction' | 'id'>): string => `${direction} ${id}`;

export const writeOf = (entries: readonly Entry[]): Write => ({
  attach: entries.filter(({ direction }) => direction === 'attach').map(({ id }) => id),
  detach: entries.filter(({ direction }) => direction === 'detach').map(({ id }) => id),
});

/**
 * The part of `wanted` that may be written now. Entries of namespaces without suspicion go first and together. Trials follow: what is new of a suspected
 * namespace, then its groups of suspects, then what has been held long enough, one by one.
 */
export function selectWrite(quarantine: Quarantine, wanted: readonly Entry[], now: number): Selection {
  const trials = trialsAmong(quarantine, wanted, now);
  const free = freeAmong(quarantine, wanted, now);
  if (free.length > 0) {
    const entries = inOneWrite(free);
    return { entries, trial: false, nextAt: entries.length < free.length ? now : earliest(trials) };
  }
  const [next] = trials.filter(({ at }) => at <= now).sort(byPreference);
  if (next === undefined) return { entries: [], trial: true, nextAt: earliest(trials) };
  const entries = inOneWrite(next.entries);
  return { entries, trial: true, nextAt: earliest(trialsAmong(quarantine, without(wanted, entries), now)) };
}

/** `culprits`: ids that the failure named; empty where it named none. */
export type Outcome = { readonly ok: true } | { readonly ok: false; readonly culprits: ReadonlySet<string> };

/**
 * The state after a selection was written. Only failures that an entry can have caused belong here: not throttling, conflicts, a missing role on the
 * scope or a broken connection.
 */
export function afterWrite(
  before: Quarantine,
  { entries, trial }: Pick<Selection, 'entries' | 'trial'>,
  outcome: Outcome,
  now: number,
): Quarantine {
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

/** How suspect a namespace is: how often it was to blame within the window. */
export const suspicionOf = (quarantine: Quarantine, namespace: string, now: number): number =>
  within(quarantine.blamed.get(namespace), now).length;

interface Trial {
  entries: readonly Entry[];
  /** When the budget and the hold allow it. */
  at: number;
  /** See {@link rankOf}; of several namespaces the highest. */
  rank: number;
  /** Among the trials of equal rank: the oldest first. */
  age: number;
}

const earliest = (trials: readonly Trial[]): number => Math.min(Number.POSITIVE_INFINITY, ...trials.map(({ at }) => at));

const isRemoval = ({ entries }: Trial): boolean => entries.every(({ direction }) => direction === 'detach');

/** A pod waits for an addition and for no removal. */
const byPreference = (a: Trial, b: Trial): number =>
  a.rank - b.rank || Number(isRemoval(a)) - Number(isRemoval(b)) || a.entries.length - b.entries.length || a.age - b.age;

/** As many as one PATCH holds. The namespaces take turns, so that thousands of entries of one leave room for those of others. */
function inOneWrite(entries: readonly Entry[]): readonly Entry[] {
  if (entries.length <= maxEntries) return entries;
  const counts = new Map<string, number>();
  const turns = entries.map((entry) => {
    const turn = counts.get(entry.namespace) ?? 0;
    counts.set(entry.namespace, turn + 1);
    return { entry, turn };
  });
  return turns
    .toSorted((a, b) => a.turn - b.turn)
    .slice(0, maxEntries)
    .map(({ entry }) => entry);
}

/** Neither suspected nor held, and of a namespace that is not suspected either. */
function freeAmong(quarantine: Quarantine, wanted: readonly Entry[], now: number): Entry[] {
  const suspects = new Set(quarantine.suspects.flat());
  const suspected = suspectedNamespaces(quarantine, wanted, now);
  return wanted.filter((entry) => !suspects.has(keyOf(entry)) && !quarantine.held.has(keyOf(entry)) && !suspected.has(entry.namespace));
}

function suspectedNamespaces(quarantine: Quarantine, wanted: readonly Entry[], now: number): Set<string> {
  const suspects = new Set(quarantine.suspects.flat());
  return new Set(
    wanted
      .filter((entry) => suspects.has(keyOf(entry)) || suspicionOf(quarantine, entry.namespace, now) > 0)
      .map(({ namespace }) => namespace),
  );
}

/** Everything that is tried by itself, whenever that is allowed. */
function trialsAmong(quarantine: Quarantine, wanted: readonly Entry[], now: number): Trial[] {
  const byKey = new Map(wanted.map((entry) => [keyOf(entry), entry]));
  const suspects = new Set(quarantine.suspects.flat());
  const suspected = suspectedNamespaces(quarantine, wanted, now);
  const isNew = (entry: Entry) => !suspects.has(keyOf(entry)) && !quarantine.held.has(keyOf(entry)) && suspected.has(entry.namespace);
  const groups = [
    ...Map.groupBy(wanted.filter(isNew), ({ namespace }) => namespace).values(),
    ...quarantine.suspects.flatMap((group) =>
      apart(
        quarantine,
        group.flatMap((key) => byKey.get(key) ?? []),
        now,
      ),
    ),
  ];
  const held = wanted
    .flatMap((entry) => {
      const until = suspects.has(keyOf(entry)) ? undefined : quarantine.held.get(keyOf(entry))?.until;
      return until === undefined ? [] : [{ entry, until }];
    })
    .sort((a, b) => a.until - b.until);
  return [...groups.map((entries) => ({ entries, until: now })), ...held.map(({ entry, until }) => ({ entries: [entry], until }))].map(
    ({ entries, until }, age) => {
      const namespaces = [...new Set(entries.map(({ namespace }) => namespace))];
      return {
        entries,
        at: Math.max(until, ...namespaces.map((namespace) => nextTrialAt(quarantine, namespace, now))),
        rank: Math.max(...namespaces.map((namespace) => rankOf(quarantine, namespace, now))),
        age,
      };
    },
  );
}

/**
 * Each namespace that was to blame by itself, the others together. A group can hold entries of both: another namespace came to want an id that
 * failed together with the rest of the first one.
 */
const apart = (quarantine: Quarantine, entries: readonly Entry[], now: number): Entry[][] => [
  ...Map.groupBy(entries, ({ namespace }) => (suspicionOf(quarantine, namespace, now) > 0 ? namespace : undefined)).values(),
];

/** Successes count, too: otherwise a namespace that failed once and then brings good identities without end keeps back one that failed twice. */
const rankOf = (quarantine: Quarantine, namespace: string, now: number): number =>
  suspicionOf(quarantine, namespace, now) + within(quarantine.succeededTrials.get(namespace), now).length;

/** When the budget of the namespace allows another trial. */
function nextTrialAt(quarantine: Quarantine, namespace: string, now: number): number {
  const freed = within(quarantine.failedTrials.get(namespace), now).at(-failedTrialsInWindow);
  return freed === undefined ? now : freed + windowMs;
}

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

const within = (times: readonly number[] | undefined, now: number): readonly number[] => (times ?? []).filter((at) => at > now - windowMs);

function without(wanted: readonly Entry[], entries: readonly Entry[]): Entry[] {
  const keys = new Set(entries.map(keyOf));
  return wanted.filter((entry) => !keys.has(keyOf(entry)));
}

const isNotEmpty = (list: readonly unknown[]): boolean => list.length > 0;
