// Whether IMDS is cut off: a node can drop what pods send to it, without a word, as AKS does with its IMDS restriction
// (docs/reference/imds.md#imds-restriction-of-aks).
import type { Clock } from '../../common/clock.ts';

export interface Silence {
  /** Clock.wall() of the first attempt without an answer, once IMDS is taken for cut off. */
  readonly since: number | undefined;
  begin(): { timeoutMs: number; timedOut(): void };
  /** IMDS has answered something. */
  end(): void;
}

/** Of the first attempt, of one after an attempt that timed out, and of those while IMDS is taken for cut off: an answer comes within a second. */
const timeoutsMs = [10_000, 5_000, 1_000] as const;
/** Attempts one after the other without an answer, after which IMDS is taken for cut off. */
const silentAttempts = 2;
/** While IMDS is taken for cut off, one attempt in this time has the longest time-out, for an IMDS that is merely slow. */
const longAttemptMs = 30_000;

export function createSilence(clock: Clock): Silence {
  return new Attempts(clock);
}

class Attempts implements Silence {
  readonly #clock: Clock;
  #unanswered = 0;
  #firstAt = 0;
  #lastTimeoutAt = Number.NEGATIVE_INFINITY;
  #longAt = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get since(): number | undefined {
    return this.#unanswered < silentAttempts ? undefined : this.#firstAt;
  }

  begin(): { timeoutMs: number; timedOut(): void } {
    const beganAt = this.#clock.now();
    const wall = this.#clock.wall();
    return { timeoutMs: this.#timeoutMs(beganAt), timedOut: () => this.#timedOut(beganAt, wall) };
  }

  end(): void {
    this.#unanswered = 0;
  }

  #timeoutMs(now: number): number {
    const [longest, second, probe] = timeoutsMs;
    if (this.#unanswered === 0) return longest;
    if (this.#unanswered < silentAttempts) return second;
    if (now - this.#longAt < longAttemptMs) return probe;
    this.#longAt = now;
    return longest;
  }

  /** Attempts that ran at the same time count once. */
  #timedOut(beganAt: number, wall: number): void {
    if (beganAt < this.#lastTimeoutAt) return;
    if (this.#unanswered === 0) this.#firstAt = wall;
    this.#unanswered += 1;
    this.#lastTimeoutAt = this.#clock.now();
    if (this.#unanswered === silentAttempts) this.#longAt = this.#clock.now();
  }
}
