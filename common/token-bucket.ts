// A rate limiter for callers that do not wait. lib/rate-limiters.ts builds on it for those that do.
import type { Clock } from './clock.ts';
import { systemClock } from './clock.ts';

export interface Rate {
  /** On average, in the long run. */
  perSecond: number;
  /** At once, after a pause. */
  burst: number;
  clock?: Clock | undefined;
}

export class TokenBucket {
  readonly #rate: Rate;
  readonly #clock: Clock;
  #tokens: number;
  #refilledAt: number;

  constructor(rate: Rate) {
    this.#rate = rate;
    this.#clock = rate.clock ?? systemClock;
    this.#tokens = rate.burst;
    this.#refilledAt = this.#clock.now();
  }

  /** Takes a token; false where there is none. */
  take(): boolean {
    this.#refill();
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }

  /** Milliseconds until `take` gives a token; 0 where it would now. */
  get waitMs(): number {
    this.#refill();
    return this.#tokens >= 1 ? 0 : Math.ceil(((1 - this.#tokens) * 1000) / this.#rate.perSecond);
  }

  #refill(): void {
    const now = this.#clock.now();
    this.#tokens = Math.min(this.#rate.burst, this.#tokens + ((now - this.#refilledAt) * this.#rate.perSecond) / 1000);
    this.#refilledAt = now;
  }
}
