// What one connection may cost: one request at a time, and a response that its client reads (docs/adr/0024-connection-and-memory-limits.md).
import type { IncomingMessage } from 'node:http';
import type { Clock } from '../../common/clock.ts';
import type { TlsApp } from './server.ts';

/**
 * Node starts every request of a connection as soon as it has arrived, however many are pipelined. Here one waits until the one before it is answered:
 * the next request of an honest client can arrive before Node says that the response was sent. More than one waiting closes the connection.
 */
export function answerInOrder(app: TlsApp): void {
  /** For each connection with an unanswered request: what starts the next one. */
  const next = new WeakMap<IncomingMessage['socket'], (() => void) | 'none'>();
  app.addHook('onRequest', (request, reply, done) => {
    const { socket } = request.raw;
    const start = () => {
      next.set(socket, 'none');
      reply.raw.once('close', () => {
        const waiting = next.get(socket);
        next.delete(socket);
        if (typeof waiting === 'function' && !socket.destroyed) waiting();
      });
      done();
    };
    const waiting = next.get(socket);
    if (waiting === undefined) start();
    else if (waiting === 'none') next.set(socket, start);
    else socket.destroy();
  });
}

/** Closes a connection whose client does not read a response to its end in time. */
export function closeUnread(app: TlsApp, { ms, clock }: { ms: number; clock: Clock }): void {
  app.addHook('onSend', (request, reply, _payload, done) => {
    const cancel = clock.after(ms, () => request.raw.socket.destroy());
    reply.raw.once('close', cancel);
    done();
  });
}
