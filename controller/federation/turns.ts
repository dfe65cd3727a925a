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

  function firstOf(namespaces: Iterable<string>, now: number): { namespace: string; at: number } {
    const dates = [...namespaces].map((namespace) => {
      const at = (completeAt.get(namespace) ?? 0) - (burst - 1) * intervalMs;
      return { namespace, at: Math.max(now, at) };
    });
    return dates.reduce((a, b) => (b.at < a.at ? b : a), { namespace: '', at: Number.POSITIVE_INFINITY });
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
