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
}

/** `now` in milliseconds, of any epoch. */
export function createGates(now: () => number): Gates {
  const closedUntil = new Map<string, number>();

  return {
    waitMs(resource, kind) {
      return Math.max(0, ...gatesOf(resource, kind).map((gate) => (closedUntil.get(gate) ?? 0) - now()));
    },
    close(resource, kind, throttled) {
      for (const [gate, until] of closedUntil) if (until <= now()) closedUntil.delete(gate);
      const gate = gateOf(resource, kind, throttled.of);
      closedUntil.set(gate, Math.max(closedUntil.get(gate) ?? 0, now() + throttled.retryAfterSeconds * 1000));
    },
  };
}

function gateOf(resource: Gated, kind: CallKind, of: Throttled['of']): string {
  const subscription = resource.subscription.toLowerCase();
  if (of === 'principal') return `principal ${subscription}`;
  // Polls of an operation have a budget of their own, apart from the reads of the subscription.
  if (of === 'subscription' && kind !== 'poll') return `subscription ${subscription} ${providerOf(resource)} ${kind}`;
  return `resource ${resource.id} ${kind}`;
}

const gatesOf = (resource: Gated, kind: CallKind): string[] =>
  (['scope', 'subscription', 'principal'] as const).map((of) => gateOf(resource, kind, of));

/** The resource provider, whose budgets are its own. */
const providerOf = ({ id }: Gated): string => /\/providers\/([^/]+)/.exec(id)?.[1] ?? '';
