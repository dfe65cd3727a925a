// What of a plan is written next, by the state of the quarantine. Pure.
//
// - Failed trials have a budget per namespace. The namespace with the fewest failures is tried first.
// - A selection is one PATCH. Where it cannot hold all, the namespaces take turns.
import { maxEntries } from '../azure/arm/identity-map.ts';
import type { Entry, Quarantine, WrittenSelection } from './quarantine.ts';
import { keyOf, suspicionOf, windowMs, within } from './quarantine.ts';

/** The search of one namespace must leave room for other writes: Azure allows a scale set few of them (docs/reference/arm.md#throttling). */
const failedTrialsInWindow = 4;

/** `entries` is what may be written now; empty: nothing. */
export interface Selection extends WrittenSelection {
  /** When something that is held back now may be written; infinite: nothing is. Milliseconds since the epoch. */
  readonly nextAt: number;
}

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

function without(wanted: readonly Entry[], entries: readonly Entry[]): Entry[] {
  const keys = new Set(entries.map(keyOf));
  return wanted.filter((entry) => !keys.has(keyOf(entry)));
}
