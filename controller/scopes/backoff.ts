// What keeps a scope, its writes or single identities from being tried for a while after something failed.

import type { Write } from '../azure/arm/identity-map.ts';
import type { Verdict } from './failure.ts';
import { retryDelay } from './failure.ts';
import type { Direction, Isolation, Quarantine } from './quarantine.ts';
import { afterWrite, entryKey, forgetUnwanted, noIsolation, selectWrite } from './quarantine.ts';

/** A write that may be tried now; `trial`: it holds only what is suspected of having made one fail. */
export interface Chosen {
  readonly write: Write;
  readonly trial: boolean;
}

/** All times are milliseconds since the epoch. `random`: from 0 to 1. */
export function createHolds(random: () => number) {
  let isolation: Isolation = noIsolation;
  /** When something that is held back, after it made a write fail, may be tried again. */
  let heldUntil = Number.POSITIVE_INFINITY;
  let callsRestUntil = 0;
  let writesRestUntil = 0;
  let failures = 0;

  return {
    /** For how long Azure is not to be called at all. */
    restMs: (now: number): number => Math.max(0, callsRestUntil - now),
    restCalls(until: number): void {
      callsRestUntil = until;
    },
    /** What is attached already can be looked at and used meanwhile. */
    areWritesResting: (now: number): boolean => now < writesRestUntil,
    restWrites(until: number): void {
      writesRestUntil = until;
    },

    /** Something that was held back may be tried. */
    isDue: (now: number): boolean => heldUntil <= now,
    isHeld: (direction: Direction, id: string): boolean =>
      isolation.quarantine.has(entryKey(direction, id)) || isolation.suspects.some((write) => write[direction].includes(id)),
    quarantineOf: (id: string): Quarantine | undefined => isolation.quarantine.get(entryKey('attach', id)),
    /** The part of what is wanted that may be written now; undefined: none. */
    choose(wanted: Write, now: number): Chosen | undefined {
      isolation = forgetUnwanted(isolation, wanted);
      const { write, trial, nextAt } = selectWrite(isolation, wanted, now);
      heldUntil = nextAt ?? Number.POSITIVE_INFINITY;
      return write === undefined || now < writesRestUntil ? undefined : { write, trial };
    },

    /** Everything is as it should be, as far as it can be. */
    settled(): void {
      failures = 0;
    },
    succeeded(chosen: Chosen, now: number): void {
      failures = 0;
      isolation = afterWrite(isolation, chosen, { ok: true }, now);
    },
    /** Some identity of the write is to blame; `culprits`: those that Azure named. */
    blame(chosen: Chosen, culprits: ReadonlySet<string>, now: number): void {
      isolation = afterWrite(isolation, chosen, { ok: false, culprits }, now);
      heldUntil = now;
    },
    /** Milliseconds until the next try after one more failure. */
    delayAfter(error: unknown, verdict: Verdict): number {
      failures += 1;
      return retryDelay(error, verdict, failures, random);
    },

    /** Until something is due of itself; infinite where nothing is. */
    nextMs: (now: number): number => Math.min(heldUntil - now, writesRestUntil > now ? writesRestUntil - now : Number.POSITIVE_INFINITY),
  };
}

export type Holds = ReturnType<typeof createHolds>;
