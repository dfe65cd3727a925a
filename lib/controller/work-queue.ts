// A work queue of keys with the semantics of client-go (https://pkg.go.dev/k8s.io/client-go/util/workqueue).
//
// A key can be in several of these states at once, but never both ready and active:
//   debouncing  somebody added it; it waits for the adds to pause
//   scheduled   it becomes ready at a date: a requeue, or a retry after back-off
//   ready       it waits for its turn
//   active      somebody works on it; a key that becomes ready meanwhile is ready again when the work ends
// The queue never starts anything: `onReady` says that `take` has something to give.
import type { Clock } from '../../common/clock.ts';
import { systemClock } from '../../common/clock.ts';
import { backoff } from '../kube/backoff.ts';
import type { QueueMetrics } from './metrics.ts';

export interface Debounce {
  /** A key becomes ready after so long without another add. */
  quietMs: number;
  /** It becomes ready so long after the first add even if adds go on. */
  maxMs: number;
}

export interface WorkQueueOptions {
  /** Called, possibly within `add`, when a key becomes ready. */
  onReady(): void;
  debounce?: Debounce | undefined;
  /** Shortest and longest delay of `addRateLimited`. */
  backoffMs?: readonly [min: number, max: number] | undefined;
  metrics?: QueueMetrics | undefined;
  clock?: Clock | undefined;
}

/** Node fires a timer of a longer delay after 1 ms. */
const longestTimerMs = 2 ** 31 - 1;

export class WorkQueue {
  readonly #options: WorkQueueOptions;
  readonly #clock: Clock;
  readonly #debouncing = new Map<string, { first: number; last: number; cancel: () => void }>();
  readonly #scheduled = new Map<string, { date: number; cancel: () => void }>();
  /** Ready keys in their order, each with the time it was added. */
  readonly #ready = new Map<string, number>();
  /** Active keys, each with the time it was taken. */
  readonly #active = new Map<string, number>();
  /** Active keys that were added again, each with the time of that. */
  readonly #again = new Map<string, number>();
  readonly #backoffs = new Map<string, ReturnType<typeof backoff>>();
  #stopped = false;

  constructor(options: WorkQueueOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  /** Makes the key ready after the debounce, or at once where there is none. */
  add(key: string): void {
    const { debounce } = this.#options;
    if (this.#stopped) return;
    if (debounce === undefined) {
      this.#makeReady(key);
      return;
    }
    const now = this.#clock.now();
    const known = this.#debouncing.get(key);
    if (known !== undefined) {
      known.last = now;
      return;
    }
    const entry = { first: now, last: now, cancel: () => {} };
    this.#debouncing.set(key, entry);
    entry.cancel = this.#callAt(
      () => Math.min(entry.last + debounce.quietMs, entry.first + debounce.maxMs),
      () => this.#makeReady(key),
    );
  }

  /** Makes the key ready at a date, without debounce. The earliest of several dates counts; an infinite delay is no date. */
  addAfter(key: string, delayMs: number): void {
    if (this.#stopped || delayMs === Number.POSITIVE_INFINITY) return;
    this.#options.metrics?.retried();
    if (delayMs <= 0) {
      this.#makeReady(key);
      return;
    }
    const date = this.#clock.now() + delayMs;
    const known = this.#scheduled.get(key);
    if (known !== undefined && known.date <= date) return;
    known?.cancel();
    const cancel = this.#callAt(
      () => date,
      () => {
        this.#scheduled.delete(key);
        this.#makeReady(key);
      },
    );
    this.#scheduled.set(key, { date, cancel });
  }

  /** Makes the key ready after its back-off, which grows with each call until `forget`. Returns the delay. */
  addRateLimited(key: string): number {
    const known = this.#backoffs.get(key) ?? backoff(...(this.#options.backoffMs ?? [100, 30_000]));
    this.#backoffs.set(key, known);
    const delayMs = known.next();
    this.addAfter(key, delayMs);
    return delayMs;
  }

  /** The next failure of the key begins with the shortest back-off. */
  forget(key: string): void {
    this.#backoffs.delete(key);
  }

  /** Drops the date of the key. A key that is ready or was added again stays. */
  unschedule(key: string): void {
    this.#scheduled.get(key)?.cancel();
    this.#scheduled.delete(key);
  }

  /** The key that has been ready for longest; it is active until `done`. Undefined where none is ready. */
  take(): string | undefined {
    for (const [key, addedAt] of this.#ready) {
      const now = this.#clock.now();
      this.#ready.delete(key);
      this.#active.set(key, now);
      // The work that begins now sees everything that was added until now.
      this.#endDebounce(key);
      this.#options.metrics?.taken((now - addedAt) / 1000);
      this.#reportDepth();
      return key;
    }
    return undefined;
  }

  /** Ends the work on a key that `take` gave. */
  done(key: string): void {
    const takenAt = this.#active.get(key);
    if (takenAt === undefined) return;
    this.#active.delete(key);
    this.#options.metrics?.worked((this.#clock.now() - takenAt) / 1000);
    const addedAt = this.#again.get(key);
    if (addedAt === undefined) return;
    this.#again.delete(key);
    this.#ready.set(key, addedAt);
    this.#options.onReady();
  }

  /** Drops everything that is not active, now and later. */
  stop(): void {
    this.#stopped = true;
    for (const { cancel } of [...this.#debouncing.values(), ...this.#scheduled.values()]) cancel();
    for (const keys of [this.#debouncing, this.#scheduled, this.#ready, this.#again, this.#backoffs]) keys.clear();
    this.#reportDepth();
  }

  #makeReady(key: string): void {
    this.#endDebounce(key);
    if (this.#ready.has(key) || this.#again.has(key)) return;
    const isActive = this.#active.has(key);
    (isActive ? this.#again : this.#ready).set(key, this.#clock.now());
    this.#options.metrics?.added();
    this.#reportDepth();
    if (!isActive) this.#options.onReady();
  }

  #endDebounce(key: string): void {
    this.#debouncing.get(key)?.cancel();
    this.#debouncing.delete(key);
  }

  #reportDepth(): void {
    this.#options.metrics?.depth(this.#ready.size + this.#again.size);
  }

  /** Calls once `date`, which may move while it waits, has come. A timer may fire a fraction of a millisecond early; it waits for the rest. */
  #callAt(date: () => number, call: () => void): () => void {
    const clock = this.#clock;
    const wait = () => clock.after(Math.min(Math.max(0, date() - clock.now()), longestTimerMs), check);
    const check = () => {
      if (date() <= clock.now()) call();
      else cancel = wait();
    };
    let cancel = wait();
    return () => cancel();
  }
}
