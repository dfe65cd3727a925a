// Stands between the sockets that a server accepts and their TLS handshakes. A handshake costs several times what a request costs, so only a few start
// in each turn of the event loop: the requests that have arrived by then are answered first, and a burst of new connections does not hold up those that
// are open (docs/adr/0024-connection-and-memory-limits.md).
import type { Server } from 'node:https';
import type { Socket } from 'node:net';
import type { Clock } from '../../common/clock.ts';
import type { AcceptQueueLimits } from './accept-queue.ts';
import { createAcceptQueue } from './accept-queue.ts';
import type { ClientHello } from './client-hello.ts';
import { readClientHello } from './client-hello.ts';
import type { ConnectionLimits, ConnectionTable } from './connection-limits.ts';
import { createConnectionTable } from './connection-limits.ts';

export type TlsLimits = AcceptQueueLimits & ConnectionLimits;

export interface PacedHandshakesOptions {
  limits: TlsLimits;
  /** A socket whose handshake has not started by then is closed. */
  handshakeMs: number;
  clock: Clock;
}

/** Handshakes that start in one turn of the event loop. They take 10 ms together, which a request that comes meanwhile waits. */
const handshakesPerTurn = 8;
/** How often sockets that wait too long are closed, and those that waited for room are tried again. */
const checkMs = 100;

/** Takes the new sockets of a server over. The returned function closes every one that is left. */
export function paceHandshakes(server: Server, { limits, handshakeMs, clock }: PacedHandshakesOptions): () => void {
  const queue = createAcceptQueue<Socket>(limits);
  const table = createConnectionTable<Socket>(limits);
  const hellos = new Map<Socket, ClientHello>();
  const sockets = new Map<string, Socket>();
  let cancelTurn: (() => void) | undefined;
  let cancelCheck: (() => void) | undefined;
  const startHandshake = takeOver(server, accept);
  followRequests(server, { table, rawOf: (socket) => sockets.get(keyOf(socket)), clock });

  function accept(socket: Socket): void {
    const source = socket.remoteAddress;
    // The client has left already.
    if (source === undefined) return void socket.destroy();
    const key = keyOf(socket);
    sockets.set(key, socket);
    socket.once('close', () => {
      sockets.delete(key);
      hellos.delete(socket);
      queue.remove(socket);
      table.remove(socket);
    });
    hellos.set(
      socket,
      readClientHello(socket, () => {
        queue.ready(socket);
        nextTurn();
      }),
    );
    for (const dropped of queue.add(socket, source, clock.now())) dropped.resetAndDestroy();
    cancelCheck ??= clock.after(checkMs, check);
  }

  function nextTurn(): void {
    cancelTurn ??= afterInput(turn);
  }

  /** Runs after the callbacks of all sockets that have something to read. */
  function turn(): void {
    cancelTurn = undefined;
    const now = clock.now();
    for (let count = 0; count < handshakesPerTurn; count += 1) {
      const next = take(now);
      if (next === undefined) return;
      table.add(next.socket, next.source, now);
      hellos.get(next.socket)?.giveBack();
      hellos.delete(next.socket);
      startHandshake(next.socket);
    }
    nextTurn();
  }

  function take(now: number): { socket: Socket; source: string } | undefined {
    let closing: Socket | undefined;
    const next = queue.take((source) => {
      const { room, close } = table.roomFor(source, now);
      closing = close;
      return room;
    });
    if (next !== undefined && closing !== undefined) {
      table.remove(closing);
      closing.destroy();
    }
    return next;
  }

  function check(): void {
    for (const socket of queue.expire(clock.now() - handshakeMs)) socket.resetAndDestroy();
    cancelCheck = queue.size === 0 ? undefined : clock.after(checkMs, check);
    nextTurn();
  }

  return () => {
    cancelTurn?.();
    cancelCheck?.();
    for (const socket of sockets.values()) socket.destroy();
  };
}

/** A TLS connection has the address and the port of the socket below it. */
const keyOf = ({ remoteAddress, remotePort }: Socket): string => `${remoteAddress} ${remotePort}`;

/** Replaces what a server does with a new socket; returns what it did, which is to start the handshake. */
function takeOver(server: Server, accept: (socket: Socket) => void): (socket: Socket) => void {
  const listeners = server.listeners('connection');
  server.removeAllListeners('connection');
  server.on('connection', accept);
  return (socket) => {
    for (const listener of listeners) listener.call(server, socket);
  };
}

/** Runs after the callbacks of everything that has arrived; the returned function cancels. */
function afterInput(call: () => void): () => void {
  const pending = setImmediate(call);
  return () => clearImmediate(pending);
}

function followRequests(
  server: Server,
  { table, rawOf, clock }: { table: ConnectionTable<Socket>; rawOf: (socket: Socket) => Socket | undefined; clock: Clock },
): void {
  server.on('request', ({ socket }, response) => {
    const raw = rawOf(socket);
    if (raw === undefined) return;
    table.begin(raw);
    // Follows the last byte of the response, and also a client that went away.
    response.once('close', () => table.end(raw, clock.now()));
  });
}
