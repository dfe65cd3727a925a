// Carries out the planned writes of one scope, one after the other, and keeps how each ended for every identity.
import type { Scope } from '../../lib/azure/resource-ids.ts';
import type { Compute, ScopeSnapshot } from '../azure/arm/compute.ts';
import { ArmError } from '../azure/arm/errors.ts';
import type { Write } from '../azure/arm/identity-map.ts';
import type { WriteOutcome } from './plan.ts';

export interface ApplyOptions {
  scope: Scope;
  compute: Compute;
  /** A GET of the scope. */
  read(): Promise<ScopeSnapshot>;
  /** False once leadership is about to end. */
  mayWrite(): boolean;
  /** Azure began to work on a write. */
  onOperation(url: string): Promise<void>;
  /** Azure refuses questions about that for so many milliseconds. */
  onThrottled(waitMs: number): Promise<void>;
  signal: AbortSignal;
}

export interface ApplyResult {
  /** `refused` for an id that no write got to. */
  outcomeOf(id: string): WriteOutcome;
  /** What ended it early; undefined: nothing did. */
  failure: { error: unknown } | undefined;
  /** It ended early because leadership is about to end; the next leader goes on. */
  interrupted: boolean;
}

/** Each write is made against a fresh GET; the first one against `before`. Ends with the first failure. Never throws. */
export async function applyWrites(writes: readonly Write[], before: ScopeSnapshot, options: ApplyOptions): Promise<ApplyResult> {
  const outcomes = new Map<string, WriteOutcome>();
  const result: ApplyResult = { outcomeOf: (id) => outcomes.get(id) ?? 'refused', failure: undefined, interrupted: false };
  let snapshot = before;
  for (const [index, write] of writes.entries()) {
    let sending = false;
    let begun = false;
    try {
      if (index > 0) snapshot = await options.read();
      if (!options.mayWrite()) return { ...result, interrupted: true };
      sending = true;
      const sent = await options.compute.write(options.scope, write, snapshot, {
        signal: options.signal,
        onThrottled: options.onThrottled,
        onOperation(url) {
          begun = true;
          return options.onOperation(url);
        },
      });
      for (const id of [...sent.attach, ...sent.detach]) outcomes.set(id, 'done');
    } catch (error) {
      if (sending) for (const id of [...write.attach, ...write.detach]) outcomes.set(id, outcomeOf(error, begun));
      return { ...result, failure: { error } };
    }
  }
  return result;
}

/** Only a 4xx to the PATCH itself, or no PATCH at all, says for certain that Azure began nothing. */
function outcomeOf(error: unknown, begun: boolean): WriteOutcome {
  if (!(error instanceof ArmError)) return 'unclear';
  const { failure, status } = error;
  if (begun) return failure.code === 'operationLost' ? 'unclear' : 'failed';
  const notSent = failure.code === 'signInFailed' || (failure.code === 'throttled' && failure.source === 'gate');
  return notSent || (status !== undefined && status >= 400 && status < 500 && status !== 408) ? 'refused' : 'unclear';
}
