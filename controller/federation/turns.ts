// When identities may be compared with Azure. Resource Manager counts the reads of a subscription (docs/reference/arm.md#throttling), and scopes need some
// of them. So all comparisons together have one rate. Identities wait only while it is used up, and then namespaces take turns: one with thousands of
// AzureIdentities delays an identity of another by a fraction of a second.
import type { Clock } from '../../common/clock.ts';
import { TokenBucket } from '../../common/token-bucket.ts';
import { createFairQueue } from '../../lib/fair-queue.ts';

export interface Turns {
  /**
   * Milliseconds until the identity has a turn, at most; 0: now, and the turn is taken. An identity that waits may ask again. `namespaces`: those whose
   * pods need it; the first that has a turn gives it.
   */
  take(identity: string, namespaces: Iterable<string>): number;
  /** The identity needs no turn any more. */
  leave(identity: string): void;
  stop(): void;
}

export interface TurnsOptions {
  clock: Clock;
  /** An identity that waited has a turn: it is to ask again. */
  onTurn(identity: string): void;
}

/** A comparison has two reads. A subscription allows 250 at once and 25 more a second. */
const rate = { burst: 100, perSecond: 8 };
/** An identity that has no place here asks again later. */
const maxWaiting = 10_000;

export function createTurns({ clock, onTurn }: TurnsOptions): Turns {
  const bucket = new TokenBucket({ ...rate, clock });
  const queue = createFairQueue<string>(maxWaiting);
  /** The namespaces in whose turn each identity waits. */
  const waiting = new Map<string, Set<string>>();
  /** Identities that have waited. */
  const granted = new Set<string>();
  let cancelTimer: (() => void) | undefined;

  function serve(): void {
    cancelTimer = undefined;
    while (queue.size > 0 && bucket.waitMs === 0) {
      const identity = queue.shift() ?? '';
      // It left, or the turn of another namespace came first.
      if (!waiting.delete(identity)) continue;
      bucket.take();
      granted.add(identity);
      onTurn(identity);
    }
    if (queue.size > 0) cancelTimer = clock.after(Math.max(1, bucket.waitMs), serve);
  }

  function enqueue(identity: string, namespace: string): void {
    const namespaces = waiting.get(identity) ?? new Set();
    waiting.set(identity, namespaces);
    if (namespaces.has(namespace)) return;
    namespaces.add(namespace);
    const displaced = queue.push(namespace, identity);
    if (displaced !== undefined) waiting.delete(displaced);
    cancelTimer ??= clock.after(Math.max(1, bucket.waitMs), serve);
  }

  return {
    take(identity, namespaces) {
      if (granted.delete(identity)) return 0;
      if (queue.size === 0 && bucket.take()) return 0;
      const positions: number[] = [];
      for (const namespace of namespaces) {
        enqueue(identity, namespace);
        positions.push(queue.lastPositionOf(namespace));
      }
      return Math.ceil((Math.min(...positions, maxWaiting) * 1000) / rate.perSecond);
    },
    leave(identity) {
      waiting.delete(identity);
      granted.delete(identity);
    },
    stop: () => cancelTimer?.(),
  };
}
