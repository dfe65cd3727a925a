// What the broker sums up of all sidecars, so that nobody has to scrape every pod.
import type { CountName } from '../../api/broker.ts';
import { formatCounts } from '../../api/broker.ts';

type Taken = ReadonlyMap<CountName, number>;

export class Counts {
  #counts = new Map<CountName, number>();

  add(name: CountName, count = 1): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + count);
  }

  /** The counts since the last call, as a request carries them; undefined where there are none. */
  take(): { counts: Taken; text: string | undefined } {
    const counts = this.#counts;
    this.#counts = new Map();
    return { counts, text: counts.size === 0 ? undefined : formatCounts(counts) };
  }

  /** The request that carried them got no response: the next one carries them too. */
  giveBack(counts: Taken): void {
    for (const [name, count] of counts) this.add(name, count);
  }

  /** `ms`: how long the application waited for the response. */
  countTokenResponse(status: number, ms: number): void {
    this.add(resultOf(status));
    if (ms >= slowMs) this.add('slow');
  }
}

const slowMs = 1_000;

function resultOf(status: number): CountName {
  if (status < 400) return 'token';
  if (status === 429) return 'throttled';
  return status < 500 ? 'refused' : 'unavailable';
}
