// What the last GET of a scope showed, and for how long that may be relied on.
import type { AttachedIdentity } from '../azure/arm/identity-map.ts';

/** For so long objects are marked by the last GET: pods that come one by one must not cost one each, for a scale set has 12 a minute. */
const trustMs = 30_000;

export type Attached = ReadonlyMap<string, AttachedIdentity>;

export interface SightOptions {
  /** Longest time between two looks at Azure. */
  reconcileMs: number;
  now(): Date;
  /** From 0 to 1. */
  random(): number;
}

export function createSight({ reconcileMs, now: clock, random }: SightOptions) {
  let last: { attached: Attached; at: number; staleAt: number } | undefined;
  let doubts = 0;
  /** Of the doubts, those that the last look was made after; one that failed has not answered any. */
  let answered = 0;

  /** Of itself; thousands of pods that doubt at once, as they may just after an attachment, cost one look. */
  function nextLookAt(): number | undefined {
    if (last === undefined) return undefined;
    return doubts > answered ? last.at + reconcileMs / 20 : last.staleAt;
  }

  return {
    /** By lower-case id; undefined: never looked, or what was seen counts no more. */
    get attached(): Attached | undefined {
      return last?.attached;
    },
    /** To be called before a look, and its result with what was seen: who doubts from here on means that. */
    begin: (): number => doubts,
    end(begun: number, attached: Attached): void {
      const at = clock().getTime();
      answered = begun;
      // Spread, or all scopes would be looked at together for ever after a start.
      last = { attached, at, staleAt: at + reconcileMs * (1 + random() / 10) };
    },
    forget(): void {
      last = undefined;
    },
    /** What is about to be written, or was, counts no more until the next look. */
    forgetSome(ids: Iterable<string>): void {
      if (last === undefined) return;
      const attached = new Map(last.attached);
      for (const id of ids) attached.delete(id);
      last = { ...last, attached };
    },
    /** A sidecar says that IMDS disagrees with what was seen. */
    doubt(): void {
      doubts += 1;
    },
    nextLookAt,
    isOverdue: (now: number): boolean => now >= (nextLookAt() ?? now),
    /** Recent enough to be acted upon. */
    isFresh: (now: number): boolean => last !== undefined && now < last.at + Math.min(trustMs, reconcileMs),
    /** Good enough while Azure cannot be asked. */
    isUsable: (now: number): boolean => last !== undefined && now < last.at + reconcileMs,
  };
}
