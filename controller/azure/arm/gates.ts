// Which ARM calls must wait. Azure counts per resource, per subscription and provider, and per subscription and caller. A call before a wait is over
// starts the wait again, so none may pass a closed gate; a throttled resource must not hold up others (docs/reference/arm.md#throttling).

import type { Throttled } from './errors.ts';

export type CallKind = 'read' | 'write' | 'poll';

/** A resource that is called. */
export interface Gated {
  /** Resource id in lower case. */
  readonly id: string;
  readonly subscription: string;
}

export interface Gates {
  /** Milliseconds until this call may be made; 0 when the way is free. */
  waitMs(resource: Gated, kind: CallKind): number;
  /** Closes the gate that a throttled call is about. A gate that is closed for longer stays so. */
  close(resource: Gated, kind: CallKind, throttled: Throttled): void;
  /** When the last closed gate of each budget opens, in the epoch of `now`. Budgets without a closed gate are absent. */
  closedUntil(): ReadonlyMap<Budget, number>;
}

/** Whose calls Azure counts. */
export type Budget = 'resource' | 'subscription' | 'principal';

/** `now` in milliseconds, of any epoch. */
export function createGates(now: () => number): Gates {
  const closedUntil = new Map<Gate, number>();

  return {
    waitMs(resource, kind) {
      return Math.max(0, ...gatesOf(resource, kind).map((gate) => (closedUntil.get(gate) ?? 0) - now()));
    },
    close(resource, kind, throttled) {
      for (const [gate, until] of closedUntil) if (until <= now()) closedUntil.delete(gate);
      const gate = gateOf(resource, kind, throttled.of);
      closedUntil.set(gate, Math.max(closedUntil.get(gate) ?? 0, now() + throttled.retryAfterSeconds * 1000));
    },
    closedUntil() {
      const byBudget = new Map<Budget, number>();
      for (const [gate, until] of closedUntil) {
        const budget = budgetOf(gate);
        if (until > now()) byBudget.set(budget, Math.max(byBudget.get(budget) ?? 0, until));
      }
      return byBudget;
    },
  };
}

type Gate = `${Budget} ${string}`;

const budgetOf = (gate: Gate): Budget => gate.slice(0, gate.indexOf(' ')) as Budget;

function gateOf(resource: Gated, kind: CallKind, of: Throttled['of']): Gate {
  const subscription = resource.subscription.toLowerCase();
  if (of === 'principal') return `principal ${subscription}`;
  // Polls of an operation have a budget of their own, apart from the reads of the subscription.
  if (of === 'subscription' && kind !== 'poll') return `subscription ${subscription} ${providerOf(resource)} ${kind}`;
  return `resource ${resource.id} ${kind}`;
}

const gatesOf = (resource: Gated, kind: CallKind): Gate[] =>
  (['scope', 'subscription', 'principal'] as const).map((of) => gateOf(resource, kind, of));

/** The resource provider, whose budgets are its own. */
const providerOf = ({ id }: Gated): string => /\/providers\/([^/]+)/.exec(id)?.[1] ?? '';
