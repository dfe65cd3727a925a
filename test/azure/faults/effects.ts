// What a fault does, as data. The engine applies effects of transport around the handlers; the handlers apply effects of a service.
import type { Answer } from '../core/messages.ts';
import type { Range } from '../core/random.ts';
import type { ServiceError } from '../state/model.ts';
import type { Action } from './actions.ts';

/** `processed`: the service does the work and only the answer is lost. */
export type TransportEffect =
  /** Log-normal, in ms; null: as slow as the service usually is. */
  | { readonly kind: 'latency'; readonly shape: { readonly median: number; readonly p99: number } | null }
  | { readonly kind: 'hang' | 'half-open' | 'reset'; readonly processed: boolean }
  | { readonly kind: 'slow-body'; readonly ms: number }
  | { readonly kind: 'refuse' }
  | { readonly kind: 'answer'; readonly answer: Answer }
  | { readonly kind: 'write'; readonly action: Action };

/** A write that ARM refuses until a person acts. */
export type Refusal =
  /** `scope`: where the lock is; null: on the resource group. */
  | { readonly fault: 'scope-locked'; readonly scope: string | null }
  | { readonly fault: 'subscription-disabled' | 'quota-exceeded' }
  | { readonly fault: 'property-change'; readonly property: string }
  /** `evaluates`: the property that the policy judges. */
  | { readonly fault: 'policy-denied'; readonly evaluates: string }
  | { readonly fault: 'linked-forbidden'; readonly action: string; readonly scope: string }
  /** `target`: type and name of what the resource refers to. */
  | { readonly fault: 'reference-missing'; readonly target: string };

export type ServiceEffect =
  /** The service's own clock is off by this. */
  | { readonly kind: 'clock-skew'; readonly ms: number }
  /** The next token is expired, or has another audience. */
  | { readonly kind: 'bad-token'; readonly expired: boolean; readonly audience: string | null }
  | { readonly kind: 'entra-error'; readonly aadsts: number; readonly retryAfter: number | null }
  /** How long the operation that this write starts takes (null: for ever) and how it ends. */
  | {
      readonly kind: 'operation';
      readonly ms: Range | null;
      readonly end: 'Succeeded' | 'Failed' | 'Canceled';
      readonly error: ServiceError | null;
    }
  | { readonly kind: 'conflict' | 'concurrent-credentials' | 'precondition-failed' | 'forbidden' | 'deny-assignment' | 'unauthorized' }
  /** Seconds; null leaves the header out. */
  | { readonly kind: 'throttled'; readonly retryAfter: number | null }
  | { readonly kind: 'throttled-identity'; readonly seconds: number }
  | { readonly kind: 'refusal'; readonly refusal: Refusal }
  /** This identity, which is attached, counts as deleted; null: each that is attached. */
  | { readonly kind: 'ghost'; readonly identity: string | null }
  /** The fault's identity counts as deleted, or as not assignable by the caller. */
  | { readonly kind: 'missing-identity' | 'role-missing'; readonly identity: string };

export type Effect = TransportEffect | ServiceEffect;

type OfKind<K extends Effect['kind']> = Effect & { readonly kind: K };

export function effectsOf<K extends Effect['kind']>(effects: readonly Effect[], kind: K): OfKind<K>[] {
  return effects.filter((effect): effect is OfKind<K> => effect.kind === kind);
}

/** The first effect of that kind, or null. */
export function effectOf<K extends Effect['kind']>(effects: readonly Effect[], kind: K): OfKind<K> | null {
  return effectsOf(effects, kind)[0] ?? null;
}
