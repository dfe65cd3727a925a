// How many TLS connections there may be, in all and of one source address, and which of them gives way to a new one
// (docs/adr/0024-connection-and-memory-limits.md). Pure.

export interface ConnectionLimits {
  /** Connections after the start of their handshake. */
  maxConnections: number;
  maxConnectionsPerSource: number;
  /** A connection that has had no request for so long gives way to a new one when its source is at its limit. */
  quietMs: number;
}

export interface ConnectionTable<C> {
  /** Whether a connection of the source may start, and which other one must be closed for it. */
  roomFor(source: string, now: number): { room: boolean; close?: C };
  add(connection: C, source: string, now: number): void;
  /** A request on it begins. */
  begin(connection: C): void;
  /** A response on it has ended. */
  end(connection: C, now: number): void;
  remove(connection: C): void;
  readonly size: number;
}

interface Entry {
  source: string;
  /** When it was added, or its last response ended. */
  quietSince: number;
  /** Requests that are not answered yet. */
  open: number;
  used: boolean;
}

export function createConnectionTable<C>({ maxConnections, maxConnectionsPerSource, quietMs }: ConnectionLimits): ConnectionTable<C> {
  const entries = new Map<C, Entry>();
  /** Each set has the oldest first, and none is empty. */
  const sources = new Map<string, Set<C>>();

  const find = (connections: Iterable<C>, matches: (entry: Entry) => boolean): C | undefined => {
    for (const connection of connections) {
      const entry = entries.get(connection);
      if (entry !== undefined && matches(entry)) return connection;
    }
    return undefined;
  };

  function largest(): Set<C> {
    let found = new Set<C>();
    for (const connections of sources.values()) if (connections.size > found.size) found = connections;
    return found;
  }

  const isQuiet = ({ open, quietSince }: Entry, now: number) => open === 0 && now - quietSince >= quietMs;
  const findQuiet = (connections: Iterable<C>, now: number): C | undefined =>
    find(connections, (entry) => !entry.used && isQuiet(entry, now)) ?? find(connections, (entry) => isQuiet(entry, now));

  function roomOfSource(own: ReadonlySet<C>, now: number): { room: boolean; close?: C } {
    const close = findQuiet(own, now);
    return close === undefined ? { room: false } : { room: true, close };
  }

  /** The source with the most connections loses one, unless the asking source would have as many then. */
  function roomOfLargest(own: number, now: number): { room: boolean; close?: C } {
    const connections = largest();
    if (connections.size <= own + 1) return { room: false };
    const close = findQuiet(connections, now) ?? find(connections, ({ used }) => !used) ?? find(connections, ({ open }) => open === 0);
    return close === undefined ? { room: false } : { room: true, close };
  }

  return {
    roomFor(source, now) {
      const own = sources.get(source) ?? new Set<C>();
      if (own.size >= maxConnectionsPerSource) return roomOfSource(own, now);
      return entries.size < maxConnections ? { room: true } : roomOfLargest(own.size, now);
    },

    add(connection, source, now) {
      entries.set(connection, { source, quietSince: now, open: 0, used: false });
      const own = sources.get(source);
      if (own === undefined) sources.set(source, new Set([connection]));
      else own.add(connection);
    },

    begin(connection) {
      const entry = entries.get(connection);
      if (entry === undefined) return;
      entry.used = true;
      entry.open += 1;
    },

    end(connection, now) {
      const entry = entries.get(connection);
      if (entry === undefined) return;
      entry.open -= 1;
      entry.quietSince = now;
    },

    remove(connection) {
      const source = entries.get(connection)?.source ?? '';
      const own = sources.get(source);
      entries.delete(connection);
      own?.delete(connection);
      if (own?.size === 0) sources.delete(source);
    },

    get size() {
      return entries.size;
    },
  };
}
