// Who made each attachment, as far as a test can know it. Keys are `scope identity`.
import type { OwnershipEntry } from '../../../../controller/scopes/ownership.ts';

export class Attribution {
  /** Attached by the other writer and not detached by it. */
  readonly #foreign = new Set<string>();
  /** The controller's record claims it while the other writer attached it: who it was is unknown. */
  readonly #unknown = new Set<string>();
  /** Attached by the other writer before the controller, which had recorded an intent. */
  readonly #overtaken = new Set<string>();
  #past: { seq: number; key: string; attached: boolean }[] = [];
  #answersAreLost = false;
  #operationsFail = false;
  /** Start of this history. An older entry of the record is left of a history that ended without an attribution. */
  #since = 0;

  /** A new history, in which nothing is attached yet. */
  reset(): void {
    for (const known of [this.#foreign, this.#unknown, this.#overtaken]) known.clear();
    this.#answersAreLost = false;
    this.#operationsFail = false;
    this.#since = Date.now();
  }

  /** These keys are foreign from the start of the history, at this number of the emulator's log. */
  startWith(keys: readonly string[], seq: number): void {
    for (const key of keys) this.#foreign.add(key);
    this.#past = keys.map((key) => ({ seq, key, attached: true }));
  }

  /** The other writer attached it while the controller's record had this entry. */
  attached(key: string, seq: number, entry: OwnershipEntry | undefined): void {
    this.#foreign.add(key);
    this.#past.push({ seq, key, attached: true });
    if (this.#operationsFail) this.#unknown.add(key);
    if (entry === undefined) return;
    // The controller drops an intent once its PATCH is refused, unless it ended or never got the answer.
    if (entry.state !== 'intent' || this.#answersAreLost || Date.parse(entry.since) < this.#since) this.#unknown.add(key);
    else this.#overtaken.add(key);
  }

  detached(key: string, seq: number): void {
    this.#foreign.delete(key);
    this.#past.push({ seq, key, attached: false });
    // An operation that is under way and fails brings back what was attached before it.
    if (this.#operationsFail) this.#unknown.add(key);
  }

  /** It is attached, and whoever attached it got no answer. */
  attachedWithoutAnswer(key: string): void {
    this.#unknown.add(key);
  }

  /** From now on the controller may not learn what became of its PATCH. */
  answersMayBeLost(): void {
    this.#answersAreLost = true;
    for (const key of this.#overtaken) this.#unknown.add(key);
  }

  /** From now on an operation may fail, also one of the other writer. */
  operationsMayFail(): void {
    this.#operationsFail = true;
  }

  isForeign(key: string): boolean {
    return this.#foreign.has(key);
  }

  isUnknown(key: string): boolean {
    return this.#unknown.has(key);
  }

  /** By the last act of the other writer before the log reached `seq`. */
  wasForeign(key: string, seq: number): boolean {
    return this.#past.filter((act) => act.key === key && act.seq < seq).at(-1)?.attached === true;
  }
}
