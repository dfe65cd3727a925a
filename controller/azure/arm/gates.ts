// Which ARM calls must wait. Azure counts per resource, per subscription, and per subscription and caller. A call before a wait is over starts the
// wait again, so none may pass a closed gate; a throttled scope must not hold up others (docs/reference/arm.md#throttling).

import type { Scope } from '../../../lib/azure/resource-ids.ts';
import type { Throttled } from './errors.ts';

export type CallKind = 'read' | 'write' | 'poll';

export interface Gates {
  /** Milliseconds until this call may be made; 0 when the way is free. */
  waitMs(scope: Scope, kind: CallKind): number;
  /** Closes the gate that a throttled call is about. A gate that is closed for longer stays so. */
  close(scope: Scope, kind: CallKind, throttled: Throttled): void;
}

/** `now` in milliseconds, of any epoch. */
export function createGates(now: () => number): Gates {
  const closedUntil = new Map<string, number>();

  return {
    waitMs(scope, kind) {
      return Math.max(0, ...gatesOf(scope, kind).map((gate) => (closedUntil.get(gate) ?? 0) - now()));
    },
    close(scope, kind, throttled) {
      for (const [gate, until] of closedUntil) if (until <= now()) closedUntil.delete(gate);
      const gate = gateOf(scope, kind, throttled.of);
      closedUntil.set(gate, Math.max(closedUntil.get(gate) ?? 0, now() + throttled.retryAfterSeconds * 1000));
    },
  };
}

function gateOf(scope: Scope, kind: CallKind, of: Throttled['of']): string {
  const subscription = scope.subscription.toLowerCase();
  if (of === 'principal') return `principal ${subscription}`;
  // Polls of an operation have a budget of their own, apart from the reads of the subscription.
  if (of === 'subscription' && kind !== 'poll') return `subscription ${subscription} ${kind}`;
  return `scope ${scope.id} ${kind}`;
}

const gatesOf = (scope: Scope, kind: CallKind): string[] =>
  (['scope', 'subscription', 'principal'] as const).map((of) => gateOf(scope, kind, of));
