import type { Server } from 'node:https';
import type { Socket } from 'node:net';
import type { Clock } from '../../common/clock.ts';

export interface ConnectionAgeOptions {
  /** The maximum age of a connection is this, more or less by up to a fifth, so that clients do not reconnect together. */
  maxAgeMs: number;
  clock: Clock;
  random(): number;
}

/** Each connection gets a random maximum age; the returned function says whether a connection has reached it. */
export function trackConnectionAge(server: Server, { maxAgeMs, clock, random }: ConnectionAgeOptions): (socket: Socket) => boolean {
  const ends = new WeakMap<Socket, number>();
  server.on('secureConnection', (socket: Socket) => ends.set(socket, clock.now() + maxAgeMs * (0.8 + 0.4 * random())));
  return (socket) => clock.now() >= (ends.get(socket) ?? Number.POSITIVE_INFINITY);
}
