// What the last GET of a scope showed, and for how long that may be relied on.
import type { AttachedIdentity } from '../azure/plan.ts';

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
  let doubted = false;

  /** Of itself; thousands of pods that doubt at once, as they may just after an attachment, cost one look. */
  function nextLookAt(): number | undefined {
    if (last === undefined) return undefined;
    return doubted ? last.at + reconcileMs / 20 : last.staleAt;
  }

  return {
    /** By lower-case id; undefined: never looked, or what was seen counts no more. */
    get attached(): Attached | undefined {
      return last?.attached;
    },
    /** To be called before a look: who doubts from here on means what it will show. */
    begin(): void {
      doubted = false;
    },
    end(attached: Attached): void {
      const at = clock().getTime();
      // Spread, or all scopes would be looked at together for ever after a start.
      last = { attached, at, staleAt: at + reconcileMs * (1 + random() / 10) };
    },
    forget(): void {
      last = undefined;
    },
    /** A sidecar says that IMDS disagrees with what was seen. */
    doubt(): void {
      doubted = true;
    },
    nextLookAt,
    isOverdue: (now: number): boolean => now >= (nextLookAt() ?? now),
    /** Recent enough to be acted upon. */
    isFresh: (now: number): boolean => last !== undefined && now < last.at + Math.min(trustMs, reconcileMs),
    /** Good enough while Azure cannot be asked. */
    isUsable: (now: number): boolean => last !== undefined && now < last.at + reconcileMs,
  };
}
