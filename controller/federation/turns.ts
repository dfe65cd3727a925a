// When identities may be compared with Azure. Resource Manager counts the reads of a subscription (docs/reference/arm.md#throttling), so one namespace with
// thousands of AzureIdentities must leave enough for the others, and for scopes.
import { LRUCache } from 'lru-cache';

export interface Turns {
  /** When the first of the namespaces has a turn. Times are milliseconds since the epoch. */
  next(namespaces: Iterable<string>, now: number): number;
  /** Takes that turn. */
  take(namespaces: Iterable<string>, now: number): number;
}

/** Of one namespace. A comparison has two reads, and a subscription 250 and 25 more a second. */
const burst = 60;
const intervalMs = 1000 / 6;
const remembered = 10_000;

export function createTurns(): Turns {
  /** When the burst of the namespace is complete again. */
  const completeAt = new LRUCache<string, number>({ max: remembered });

  /** Of those that are free, the one that used most: an author who names the identity of another namespace must not use up its turns. */
  function firstOf(namespaces: Iterable<string>, now: number): { namespace: string; at: number } {
    const candidates = [...namespaces].map((namespace) => {
      const complete = completeAt.get(namespace) ?? 0;
      return { namespace, complete, at: Math.max(now, complete - (burst - 1) * intervalMs) };
    });
    candidates.sort((a, b) => a.at - b.at || b.complete - a.complete);
    return candidates[0] ?? { namespace: '', at: now };
  }

  return {
    next: (namespaces, now) => firstOf(namespaces, now).at,
    take(namespaces, now) {
      const { namespace, at } = firstOf(namespaces, now);
      completeAt.set(namespace, Math.max(now, completeAt.get(namespace) ?? 0) + intervalMs);
      return at;
    },
  };
}
