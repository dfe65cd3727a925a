// One bad identity makes ARM refuse a whole write (docs/reference/arm.md#identity-errors). The quarantine finds out which one it is, lets the others
// through and keeps the bad one out for a while. Each scope has its own. Pure; the caller keeps the state and reports how each write ended.
import type { Write } from '../azure/arm/identity-map.ts';

export interface QuarantineEntry {
  /** Failures in a row, alone or by name. */
  readonly failures: number;
  /** Milliseconds since the epoch. */
  readonly until: number;
}

export interface Quarantine {
  /** Parts of writes that failed without naming a culprit. Each is tried by itself. */
  readonly suspects: readonly Write[];
  /** By {@link entryKey}: an identity that cannot be attached can still be detached. */
  readonly entries: ReadonlyMap<string, QuarantineEntry>;
  /** Times of the recent trials of suspects; milliseconds since the epoch. */
  readonly trials: readonly number[];
}

export const emptyQuarantine: Quarantine = { suspects: [], entries: new Map(), trials: [] };

export type Direction = 'attach' | 'detach';
export const entryKey = (direction: Direction, id: string): string => `${direction} ${id}`;

/** The search for a culprit must leave room for other writes: Azure allows a scale set few of them (docs/reference/arm.md#throttling). */
const trialsInWindow = 4;
const windowMs = 10 * 60_000;
const firstQuarantineMs = 60_000;
const longestQuarantineMs = 60 * 60_000;

export interface Selection {
  /** What may be written now; undefined: nothing. */
  readonly write: Write | undefined;
  /** It holds suspects only. {@link afterWrite} needs to know. */
  readonly trial: boolean;
  /** When something that is held back now may be written; undefined: nothing is. Milliseconds since the epoch. */
  readonly nextAt: number | undefined;
}

interface Entry {
  direction: Direction;
  id: string;
}

const entriesOf = (write: Write): Entry[] => [
  ...write.attach.map((id): Entry => ({ direction: 'attach', id })),
  ...write.detach.map((id): Entry => ({ direction: 'detach', id })),
];
const writeOf = (entries: readonly Entry[]): Write => ({
  attach: entries.filter(({ direction }) => direction === 'attach').map(({ id }) => id),
  detach: entries.filter(({ direction }) => direction === 'detach').map(({ id }) => id),
});
const keyOf = ({ direction, id }: Entry): string => entryKey(direction, id);

/**
 * The part of `wanted` that may be written now. What was never part of a failure goes first and together. Suspects are tried after that, group by
 * group, and those whose quarantine is over one by one.
 */
export function selectWrite(quarantine: Quarantine, wanted: Write, now: number): Selection {
  const entries = entriesOf(wanted);
  const suspects = suspectsAmong(quarantine, entries);
  const suspected = new Set(suspects.flat().map(keyOf));
  const clean = entries.filter((entry) => !suspected.has(keyOf(entry)) && !quarantine.entries.has(keyOf(entry)));
  const quarantined = entries
    .flatMap((entry) => {
      const known = suspected.has(keyOf(entry)) ? undefined : quarantine.entries.get(keyOf(entry));
      return known === undefined ? [] : [{ entry, until: known.until }];
    })
    .sort((a, b) => a.until - b.until);

  const [group] = suspects;
  const [longest] = quarantined;
  const trialAt = nextTrialAt(quarantine.trials, now);
  // The next group of suspects decides, else the entry that has been in quarantine longest.
  const heldUntil = group === undefined ? (longest === undefined ? undefined : Math.max(longest.until, trialAt)) : trialAt;

  if (clean.length > 0) return { write: writeOf(clean), trial: false, nextAt: heldUntil };
  if (heldUntil === undefined || heldUntil > now) return { write: undefined, trial: false, nextAt: heldUntil };
  const tried = group ?? (longest === undefined ? [] : [longest.entry]);
  return {
    write: writeOf(tried),
    trial: true,
    nextAt: suspects.length + quarantined.length > 1 ? nextTrialAt([...quarantine.trials, now], now) : undefined,
  };
}

/** `culprits`: ids that the failure named; empty where it named none. */
export type Outcome = { readonly ok: true } | { readonly ok: false; readonly culprits: ReadonlySet<string> };

/**
 * The state after a selection was written. Only failures that an entry can have caused belong here: not throttling, conflicts, a missing role on the
 * scope or a broken connection.
 */
export function afterWrite(
  quarantine: Quarantine,
  { write, trial }: { write: Write; trial: boolean },
  outcome: Outcome,
  now: number,
): Quarantine {
  const entries = entriesOf(write);
  const written = new Set(entries.map(keyOf));
  const untouched = quarantine.suspects.map((group) => entriesOf(group).filter((entry) => !written.has(keyOf(entry)))).filter(isNotEmpty);
  const trials = trial ? [...quarantine.trials.filter((at) => at > now - windowMs), now] : quarantine.trials;
  const held = new Map(quarantine.entries);

  if (outcome.ok) {
    for (const key of written) held.delete(key);
    return { suspects: untouched.map(writeOf), entries: held, trials };
  }
  const named = entries.filter(({ id }) => outcome.culprits.has(id));
  const guilty = named.length > 0 ? named : entries.length === 1 ? entries : [];
  for (const entry of guilty) held.set(keyOf(entry), prolonged(held.get(keyOf(entry)), now));
  // Where Azure names the culprits, the others are not suspects: they go on at once and cost no trial.
  const parts = guilty.length > 0 ? [] : halves(entries);
  return { suspects: [...parts.filter(isNotEmpty), ...untouched].map(writeOf), entries: held, trials };
}

/** Without the state of what is no longer wanted, so that it does not grow for ever. */
export function forgetUnwanted(quarantine: Quarantine, wanted: Write): Quarantine {
  const keys = new Set(entriesOf(wanted).map(keyOf));
  return {
    suspects: suspectsAmong(quarantine, entriesOf(wanted)).map(writeOf),
    entries: new Map([...quarantine.entries].filter(([key]) => keys.has(key))),
    trials: quarantine.trials,
  };
}

function suspectsAmong(quarantine: Quarantine, entries: readonly Entry[]): Entry[][] {
  const wanted = new Set(entries.map(keyOf));
  return quarantine.suspects.map((group) => entriesOf(group).filter((entry) => wanted.has(keyOf(entry)))).filter(isNotEmpty);
}

/** Adds before removes: a removal that fails must not keep a pod waiting. */
function halves(entries: readonly Entry[]): Entry[][] {
  const attach = entries.filter(({ direction }) => direction === 'attach');
  const detach = entries.filter(({ direction }) => direction === 'detach');
  if (attach.length > 0 && detach.length > 0) return [attach, detach];
  const middle = Math.ceil(entries.length / 2);
  return [entries.slice(0, middle), entries.slice(middle)];
}

/** Ends the time that an identity is kept out of writes; its failures and the trials still count. */
export function lift(quarantine: Quarantine, id: string, now: number): Quarantine {
  const key = entryKey('attach', id);
  const entry = quarantine.entries.get(key);
  if (entry === undefined) return quarantine;
  return { ...quarantine, entries: new Map(quarantine.entries).set(key, { ...entry, until: Math.min(entry.until, now) }) };
}

/** True where an identity is kept out of writes in that direction, quarantined or suspected. */
export const isHeld = (quarantine: Quarantine, direction: Direction, id: string): boolean =>
  quarantine.entries.has(entryKey(direction, id)) || quarantine.suspects.some((write) => write[direction].includes(id));

export const quarantineOf = (quarantine: Quarantine, id: string): QuarantineEntry | undefined =>
  quarantine.entries.get(entryKey('attach', id));

function prolonged(before: QuarantineEntry | undefined, now: number): QuarantineEntry {
  const failures = (before?.failures ?? 0) + 1;
  return { failures, until: now + Math.min(longestQuarantineMs, firstQuarantineMs * 2 ** Math.min(failures - 1, 10)) };
}

/** When the budget allows another trial; milliseconds since the epoch. */
export function nextTrialAt(trials: readonly number[], now: number): number {
  const recent = trials.filter((at) => at > now - windowMs);
  const freed = recent.at(-trialsInWindow);
  return freed === undefined ? now : freed + windowMs;
}

const isNotEmpty = (entries: readonly Entry[]): boolean => entries.length > 0;
