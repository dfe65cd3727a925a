// Which ARM calls must wait. Azure counts per resource, per subscription, and per subscription and caller; a call made before a wait is over is
// refused and begins the wait anew (spec/azure-protocols.md 3.6), so none may pass a closed gate, and a throttled scope must not hold up others.

import type { Scope } from '../../../lib/azure/resource-ids.ts';
import type { Throttled } from './errors.ts';

export type CallKind = 'read' | 'write' | 'poll';

export interface Gates {
  /** Milliseconds until this call may be made; 0 when the way is free. */
  waitMs(scope: Scope, kind: CallKind): number;
  /** Closes what the refusal of such a call is about. A gate that is closed for longer stays so. */
  close(scope: Scope, kind: CallKind, refusal: Throttled): void;
}

/** `now` in milliseconds, of any epoch. */
export function createGates(now: () => number): Gates {
  const closedUntil = new Map<string, number>();

  return {
    waitMs(scope, kind) {
      return Math.max(0, ...gatesOf(scope, kind).map((gate) => (closedUntil.get(gate) ?? 0) - now()));
    },
    close(scope, kind, refusal) {
      for (const [gate, until] of closedUntil) if (until <= now()) closedUntil.delete(gate);
      const gate = gateOf(scope, kind, refusal.of);
      closedUntil.set(gate, Math.max(closedUntil.get(gate) ?? 0, now() + refusal.retryAfterSeconds * 1000));
    },
  };
}

function gateOf(scope: Scope, kind: CallKind, of: Throttled['of']): string {
  const subscription = scope.subscription.toLowerCase();
  if (of === 'principal') return `principal ${subscription}`;
  // Looking at an operation has a budget of its own, not the subscription's reads.
  if (of === 'subscription' && kind !== 'poll') return `subscription ${subscription} ${kind}`;
  return `scope ${scope.id} ${kind}`;
}

const gatesOf = (scope: Scope, kind: CallKind): string[] =>
  (['scope', 'subscription', 'principal'] as const).map((of) => gateOf(scope, kind, of));
