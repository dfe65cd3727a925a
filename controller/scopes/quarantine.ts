// One bad identity makes ARM refuse a whole write (spec/azure-protocols.md 3.5). This finds out which one, lets the others through and keeps the bad
// one out for a while, for each scope by itself. Pure; the caller keeps the state and tells how each write ended.
import type { Write } from '../azure/arm/identity-map.ts';

export interface Quarantine {
  /** Failures in a row, alone or by name. */
  readonly failures: number;
  /** Milliseconds since the epoch. */
  readonly until: number;
}

export interface Isolation {
  /** Parts of writes that failed without naming a culprit, each to be tried by itself. */
  readonly suspects: readonly Write[];
  /** By {@link entryKey}: who may not be attached can well be detached. */
  readonly quarantine: ReadonlyMap<string, Quarantine>;
  /** When suspects were tried lately. */
  readonly trials: readonly number[];
}

export const noIsolation: Isolation = { suspects: [], quarantine: new Map(), trials: [] };

export type Direction = 'attach' | 'detach';
export const entryKey = (direction: Direction, id: string): string => `${direction} ${id}`;

/** Looking for a culprit must not eat the writes that Azure allows the scope (design 7). */
const trialsInWindow = 4;
const windowMs = 10 * 60_000;
const firstQuarantineMs = 60_000;
const longestQuarantineMs = 60 * 60_000;

export interface Selection {
  /** What may be written now; undefined: nothing. */
  readonly write: Write | undefined;
  /** It holds suspects only; to be told to {@link afterWrite}. */
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
 * The part of `wanted` that may be written now. Whatever was never part of a failure goes first and together; suspects are tried after that, group by
 * group, those out of quarantine one by one.
 */
export function selectWrite(isolation: Isolation, wanted: Write, now: number): Selection {
  const entries = entriesOf(wanted);
  const suspects = suspectsAmong(isolation, entries);
  const suspected = new Set(suspects.flat().map(keyOf));
  const clean = entries.filter((entry) => !suspected.has(keyOf(entry)) && !isolation.quarantine.has(keyOf(entry)));
  const quarantined = entries
    .flatMap((entry) => {
      const quarantine = suspected.has(keyOf(entry)) ? undefined : isolation.quarantine.get(keyOf(entry));
      return quarantine === undefined ? [] : [{ entry, until: quarantine.until }];
    })
    .sort((a, b) => a.until - b.until);

  const [group] = suspects;
  const [longest] = quarantined;
  const trialAt = nextTrialAt(isolation.trials, now);
  // Of the group that comes next, else of the one longest in quarantine.
  const heldUntil = group === undefined ? (longest === undefined ? undefined : Math.max(longest.until, trialAt)) : trialAt;

  if (clean.length > 0) return { write: writeOf(clean), trial: false, nextAt: heldUntil };
  if (heldUntil === undefined || heldUntil > now) return { write: undefined, trial: false, nextAt: heldUntil };
  const tried = group ?? (longest === undefined ? [] : [longest.entry]);
  return {
    write: writeOf(tried),
    trial: true,
    nextAt: suspects.length + quarantined.length > 1 ? nextTrialAt([...isolation.trials, now], now) : undefined,
  };
}

/** `culprits`: ids that the failure named; empty where it named none. */
export type Outcome = { readonly ok: true } | { readonly ok: false; readonly culprits: ReadonlySet<string> };

/**
 * The state after a selection was written. Only failures that an entry can be to blame for belong here: not throttling, conflicts, a missing role
 * on the scope or a broken connection.
 */
export function afterWrite(
  isolation: Isolation,
  { write, trial }: { write: Write; trial: boolean },
  outcome: Outcome,
  now: number,
): Isolation {
  const entries = entriesOf(write);
  const written = new Set(entries.map(keyOf));
  const untouched = isolation.suspects.map((group) => entriesOf(group).filter((entry) => !written.has(keyOf(entry)))).filter(isNotEmpty);
  const trials = trial ? [...isolation.trials.filter((at) => at > now - windowMs), now] : isolation.trials;
  const quarantine = new Map(isolation.quarantine);

  if (outcome.ok) {
    for (const key of written) quarantine.delete(key);
    return { suspects: untouched.map(writeOf), quarantine, trials };
  }
  const named = entries.filter(({ id }) => outcome.culprits.has(id));
  const guilty = named.length > 0 ? named : entries.length === 1 ? entries : [];
  for (const entry of guilty) quarantine.set(keyOf(entry), prolonged(quarantine.get(keyOf(entry)), now));
  const rest = entries.filter((entry) => !guilty.includes(entry));
  // Where Azure names who is to blame, the others are not suspects: they go on at once and cost no trial.
  const parts = guilty.length > 0 ? [] : halves(rest);
  return { suspects: [...parts.filter(isNotEmpty), ...untouched].map(writeOf), quarantine, trials };
}

/** State of what is no longer wanted is forgotten, so that it does not grow for ever. */
export function forgetUnwanted(isolation: Isolation, wanted: Write): Isolation {
  const keys = new Set(entriesOf(wanted).map(keyOf));
  return {
    suspects: suspectsAmong(isolation, entriesOf(wanted)).map(writeOf),
    quarantine: new Map([...isolation.quarantine].filter(([key]) => keys.has(key))),
    trials: isolation.trials,
  };
}

function suspectsAmong(isolation: Isolation, entries: readonly Entry[]): Entry[][] {
  const wanted = new Set(entries.map(keyOf));
  return isolation.suspects.map((group) => entriesOf(group).filter((entry) => wanted.has(keyOf(entry)))).filter(isNotEmpty);
}

/** Adds before removes: a removal that fails must not keep a pod waiting. */
function halves(entries: readonly Entry[]): Entry[][] {
  const attach = entries.filter(({ direction }) => direction === 'attach');
  const detach = entries.filter(({ direction }) => direction === 'detach');
  if (attach.length > 0 && detach.length > 0) return [attach, detach];
  const middle = Math.ceil(entries.length / 2);
  return [entries.slice(0, middle), entries.slice(middle)];
}

function prolonged(before: Quarantine | undefined, now: number): Quarantine {
  const failures = (before?.failures ?? 0) + 1;
  return { failures, until: now + Math.min(longestQuarantineMs, firstQuarantineMs * 2 ** Math.min(failures - 1, 10)) };
}

function nextTrialAt(trials: readonly number[], now: number): number {
  const recent = trials.filter((at) => at > now - windowMs);
  const freed = recent.at(-trialsInWindow);
  return freed === undefined ? now : freed + windowMs;
}

const isNotEmpty = (entries: readonly Entry[]): boolean => entries.length > 0;
