// How many bytes the open request bodies of a server may take, together and of one source address (docs/adr/0024-connection-and-memory-limits.md).
// Bytes count when they have arrived: what a request claims in its headers costs nothing. Pure.

export interface BodyBudget<B> {
  open(body: B, source: string): void;
  /**
   * Counts bytes of a body. `pause`: its source has half of the budget, and the body is not the oldest of it. `cut`: the bodies that give way because
   * the whole budget is used; they are closed.
   */
  add(body: B, bytes: number): { pause: boolean; cut: B[] };
  /** The body has arrived and is not cut any more. `more` is what else it takes while it is handled; it counts for the pauses of its source. */
  complete(body: B, more: number): void;
  /** Its request is answered, or it was cut. Returns the bodies that may go on. */
  close(body: B): B[];
  /** That have arrived. */
  readonly bytes: number;
}

interface Entry {
  source: string;
  bytes: number;
  more: number;
  complete: boolean;
  paused: boolean;
}

export function createBodyBudget<B>(maxBytes: number): BodyBudget<B> {
  const entries = new Map<B, Entry>();
  /** The oldest body first. None is empty. */
  const sources = new Map<string, { bytes: number; bodies: Set<B> }>();
  let bytes = 0;

  function remove(body: B): void {
    const entry = entries.get(body);
    const source = sources.get(entry?.source ?? '');
    if (entry === undefined || source === undefined) return;
    bytes -= entry.bytes;
    source.bytes -= entry.bytes + entry.more;
    entries.delete(body);
    source.bodies.delete(body);
    if (source.bodies.size === 0) sources.delete(entry.source);
  }

  /** The largest incomplete body of the source that has most. */
  function victim(): B | undefined {
    for (const { bodies } of [...sources.values()].toSorted((a, b) => b.bytes - a.bytes)) {
      let largest: { body: B; bytes: number } | undefined;
      for (const body of bodies) {
        const entry = entries.get(body);
        if (entry !== undefined && !entry.complete && entry.bytes > (largest?.bytes ?? 0)) largest = { body, bytes: entry.bytes };
      }
      if (largest !== undefined) return largest.body;
    }
    return undefined;
  }

  function mayRead(body: B, source: string): boolean {
    const own = sources.get(source);
    if (own === undefined) return false;
    const [oldest] = own.bodies;
    return own.bytes <= maxBytes / 2 || body === oldest;
  }

  return {
    open(body, name) {
      const source = sources.get(name) ?? { bytes: 0, bodies: new Set() };
      sources.set(name, source);
      source.bodies.add(body);
      entries.set(body, { source: name, bytes: 0, more: 0, complete: false, paused: false });
    },

    add(body, more) {
      const entry = entries.get(body);
      const source = sources.get(entry?.source ?? '');
      if (entry === undefined || source === undefined) return { pause: false, cut: [] };
      entry.bytes += more;
      source.bytes += more;
      bytes += more;
      const cut: B[] = [];
      // A source alone only waits.
      while (bytes > maxBytes && sources.size > 1) {
        const next = victim();
        if (next === undefined) break;
        remove(next);
        cut.push(next);
      }
      entry.paused = !mayRead(body, entry.source);
      return { pause: entry.paused, cut };
    },

    complete(body, more) {
      const entry = entries.get(body);
      const source = sources.get(entry?.source ?? '');
      if (entry === undefined || source === undefined) return;
      entry.complete = true;
      entry.more = more;
      source.bytes += more;
    },

    close(body) {
      const name = entries.get(body)?.source ?? '';
      remove(body);
      const resumed: B[] = [];
      for (const other of sources.get(name)?.bodies ?? []) {
        const entry = entries.get(other);
        if (entry?.paused !== true || !mayRead(other, name)) continue;
        entry.paused = false;
        resumed.push(other);
      }
      return resumed;
    },

    get bytes() {
      return bytes;
    },
  };
}
