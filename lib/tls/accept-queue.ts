// Accepted sockets that wait for their TLS handshake. Sources take turns, and of one source the newest socket comes first: a client that dials while
// its connections are busy, as the API server does, has most likely answered its older requests over those
// (docs/adr/0024-connection-and-memory-limits.md). Pure.

export interface AcceptQueueLimits {
  maxWaiting: number;
  maxWaitingPerSource: number;
}

export interface AcceptQueue<S> {
  /** Returns the sockets to close for it, which may include it: the oldest of the source that has too many. */
  add(socket: S, source: string, now: number): S[];
  /** The socket has sent its ClientHello, so a handshake can start. */
  ready(socket: S): void;
  /** The next socket to shake hands with, of a source that `hasRoom`. It has left the queue. */
  take(hasRoom: (source: string) => boolean): { socket: S; source: string } | undefined;
  remove(socket: S): void;
  /** Takes out the sockets that were added before this time. */
  expire(before: number): S[];
  readonly size: number;
}

interface Source<S> {
  /** The oldest first. */
  sockets: Set<S>;
  /** The newest last. */
  ready: S[];
}

export function createAcceptQueue<S>({ maxWaiting, maxWaitingPerSource }: AcceptQueueLimits): AcceptQueue<S> {
  /** In the order of their turns. None is empty. */
  const sources = new Map<string, Source<S>>();
  /** The oldest first. */
  const entries = new Map<S, { source: string; at: number }>();

  function remove(socket: S): void {
    const entry = entries.get(socket);
    const source = entry === undefined ? undefined : sources.get(entry.source);
    if (entry === undefined || source === undefined) return;
    entries.delete(socket);
    source.sockets.delete(socket);
    source.ready = source.ready.filter((each) => each !== socket);
    if (source.sockets.size === 0) sources.delete(entry.source);
  }

  function removeOldest(source: Source<S>): S[] {
    const [oldest] = source.sockets;
    if (oldest === undefined) return [];
    remove(oldest);
    return [oldest];
  }

  function largest(): Source<S> | undefined {
    let found: Source<S> | undefined;
    for (const source of sources.values()) if (source.sockets.size > (found?.sockets.size ?? 0)) found = source;
    return found;
  }

  return {
    add(socket, name, at) {
      const source = sources.get(name) ?? { sockets: new Set(), ready: [] };
      sources.set(name, source);
      source.sockets.add(socket);
      entries.set(socket, { source: name, at });
      if (source.sockets.size > maxWaitingPerSource) return removeOldest(source);
      if (entries.size > maxWaiting) return removeOldest(largest() ?? source);
      return [];
    },

    ready(socket) {
      sources.get(entries.get(socket)?.source ?? '')?.ready.push(socket);
    },

    take(hasRoom) {
      for (const [name, source] of sources) {
        const socket = source.ready.at(-1);
        if (socket === undefined || !hasRoom(name)) continue;
        // A Map keeps the order of insertion, so the source goes to the end.
        sources.delete(name);
        sources.set(name, source);
        remove(socket);
        return { socket, source: name };
      }
      return undefined;
    },

    remove,

    expire(before) {
      const expired: S[] = [];
      for (const [socket, { at }] of entries) {
        if (at >= before) break;
        expired.push(socket);
      }
      for (const socket of expired) remove(socket);
      return expired;
    },

    get size() {
      return entries.size;
    },
  };
}
