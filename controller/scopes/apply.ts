// Carries out a planned change of one scope, write by write, and keeps how it ended for each identity.

import type { Scope } from '../../lib/azure/resource-ids.ts';
import type { Compute, ScopeState } from '../azure/arm/compute.ts';
import { ArmError } from '../azure/arm/errors.ts';
import type { Write } from '../azure/arm/identity-map.ts';
import type { WriteOutcome } from './plan.ts';

export interface WriteSteps {
  scope: Scope;
  compute: Compute;
  /** A GET of the scope. */
  look(signal: AbortSignal): Promise<ScopeState>;
  mayWrite(): boolean;
  /** Azure began to work on it. */
  onOperation(url: string): Promise<void>;
}

export interface WriteResult {
  /** `refused` for an id that no write got to. */
  outcomeOf(id: string): WriteOutcome;
  /** What ended it early; undefined: nothing did. */
  failure: { error: unknown } | undefined;
  /** It ended early because leadership is about to. */
  handedOver: boolean;
}

/** Writes one after the other, each against a fresh look, until one fails. `before`: the look that the first is made against. Never throws. */
export async function writeAll(steps: WriteSteps, writes: readonly Write[], before: ScopeState, signal: AbortSignal): Promise<WriteResult> {
  const outcomes = new Map<string, WriteOutcome>();
  const end = { outcomeOf: (id: string) => outcomes.get(id) ?? 'refused', failure: undefined, handedOver: false };
  let state = before;
  for (const [index, write] of writes.entries()) {
    let asked = false;
    let began = false;
    try {
      if (index > 0) state = await steps.look(signal);
      if (!steps.mayWrite()) return { ...end, handedOver: true };
      asked = true;
      const sent = await steps.compute.write(steps.scope, write, state, {
        signal,
        onOperation(url) {
          began = true;
          return steps.onOperation(url);
        },
      });
      for (const id of [...sent.attach, ...sent.detach]) outcomes.set(id, 'done');
    } catch (error) {
      if (asked) for (const id of [...write.attach, ...write.detach]) outcomes.set(id, outcomeOf(error, began));
      return { ...end, failure: { error } };
    }
  }
  return end;
}

/** Only a 4xx to the PATCH itself, or no PATCH at all, says for certain that nothing was begun. */
function outcomeOf(error: unknown, began: boolean): WriteOutcome {
  if (!(error instanceof ArmError)) return 'unclear';
  const { failure, status } = error;
  if (began) return failure.code === 'operationLost' ? 'unclear' : 'failed';
  const notSent = failure.code === 'signInFailed' || (failure.code === 'throttled' && failure.source === 'gate');
  return notSent || (status !== undefined && status >= 400 && status < 500 && status !== 408) ? 'refused' : 'unclear';
}
