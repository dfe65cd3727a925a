// Every request of this sidecar to IMDS passes this gate. IMDS counts its limits for the whole VM: 20 requests a second and five at once for
// tokens, five a second for other documents (docs/reference/imds.md). One sidecar takes half of that at most, and tokens go first.
import type { Clock } from '../../common/clock.ts';
import { TokenBucket } from '../../common/token-bucket.ts';

export type Lane = 'token' | 'document';

/** Gives the place back and says whether the request succeeded. */
export type Release = (success: boolean) => void;

export interface Visitor {
  lane: Lane;
  signal?: AbortSignal | undefined;
  /** How long it waits. A visitor that sets this also finds the gate full while many others wait. Absent: until the signal aborts. */
  patienceMs?: number | undefined;
}

export interface ImdsGate {
  /** Waits for a place, in order of arrival. */
  enter(visitor: Visitor): Promise<Release | 'full' | 'aborted'>;
}

interface Waiting {
  grant(): void;
}

const maxAtOnce = 2;
const maxWaiting = 20;
const rate = { perSecond: 10, burst: 20 };
const documentRate = { perSecond: 5, burst: 5 };

export function createImdsGate(clock: Clock): ImdsGate {
  const gate = new Gate(clock);
  return { enter: (visitor) => gate.enter(visitor) };
}

class Gate {
  readonly #clock: Clock;
  readonly #all: TokenBucket;
  readonly #documents: TokenBucket;
  readonly #waiting: Record<Lane, Waiting[]> = { token: [], document: [] };
  readonly #running: Record<Lane, number> = { token: 0, document: 0 };
  /** One request at a time, and two after a success. */
  #limit = 1;
  #cancelTimer: (() => void) | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#all = new TokenBucket({ ...rate, clock });
    this.#documents = new TokenBucket({ ...documentRate, clock });
  }

  enter({ lane, signal, patienceMs }: Visitor): Promise<Release | 'full' | 'aborted'> {
    const waiting = this.#waiting[lane];
    if (signal?.aborted === true) return Promise.resolve('aborted');
    if (patienceMs !== undefined && waiting.length >= maxWaiting) return Promise.resolve('full');
    return new Promise((resolve) => {
      const settle = (result: Release | 'full' | 'aborted') => {
        signal?.removeEventListener('abort', abort);
        cancel?.();
        resolve(result);
      };
      const leave = (why: 'full' | 'aborted') => {
        waiting.splice(waiting.indexOf(visitor), 1);
        if (this.#isEmpty) this.#stopTimer();
        settle(why);
      };
      const abort = () => leave('aborted');
      const visitor: Waiting = { grant: () => settle((success) => this.#release(lane, success)) };
      const cancel = patienceMs === undefined ? undefined : this.#clock.after(patienceMs, () => leave('full'));
      signal?.addEventListener('abort', abort, { once: true });
      waiting.push(visitor);
      this.#admit();
    });
  }

  #release(lane: Lane, success: boolean): void {
    this.#running[lane] -= 1;
    this.#limit = success ? maxAtOnce : 1;
    this.#admit();
  }

  #admit(): void {
    this.#stopTimer();
    for (;;) {
      const lane = this.#nextLane();
      if (lane === undefined) return;
      const waitMs = this.#waitMs(lane);
      if (waitMs > 0) {
        this.#cancelTimer = this.#clock.after(waitMs, () => this.#admit());
        return;
      }
      this.#all.take();
      if (lane === 'document') this.#documents.take();
      this.#running[lane] += 1;
      this.#waiting[lane].shift()?.grant();
    }
  }

  /**
   * Documents take one place at most, and only within the limit. A document may be slow (the first answer about scheduled events takes up to two
   * minutes), so a token may go beside one in any case.
   */
  #nextLane(): Lane | undefined {
    const { token, document } = this.#running;
    const total = token + document;
    if (this.#waiting.token.length > 0 && token < this.#limit && total < maxAtOnce) return 'token';
    if (this.#waiting.document.length > 0 && document === 0 && total < this.#limit) return 'document';
    return undefined;
  }

  #waitMs(lane: Lane): number {
    return lane === 'token' ? this.#all.waitMs : Math.max(this.#all.waitMs, this.#documents.waitMs);
  }

  #stopTimer(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
  }

  get #isEmpty(): boolean {
    return this.#waiting.token.length + this.#waiting.document.length === 0;
  }
}
