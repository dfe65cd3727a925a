// Runs inside a pod: floods the webhook or the broker for some time, then prints what it did as JSON.
import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import net from 'node:net';
import tls from 'node:tls';
import { identitiesPath } from '../../api/broker.ts';
import { issuer } from '../cluster/components.ts';

export interface FloodOptions {
  seconds: number;
  kinds: (keyof typeof kinds)[];
  /** `address:port`; the connections take turns. */
  targets: string[];
  /** A valid token of one pod, for the polls. */
  token?: string;
}

export interface FloodCounts {
  opened: number;
  /** Ready for bytes of HTTP, so behind the handshake where there is one. */
  established: number;
  /** Established connections that the server ended. */
  cut: number;
  mostAtOnce: number;
  megabytes: number;
  /** By status. */
  answers: Record<string, number>;
}

interface Kind {
  connections: number;
  /** New connections, also for those that were cut. */
  perSecond: number;
  tls: boolean;
  /** Once it is established. */
  begin(socket: Socket, options: FloodOptions, counts: FloodCounts): void;
  /** After each answer. */
  again?(socket: Socket, options: FloodOptions): void;
}

const bodyBytes = 4 * 1024 * 1024 - 1024;
const silent = { begin: () => {} };
/** Shared, since it costs more than a handshake. */
const secureContext = tls.createSecureContext();

const kinds = {
  /** Each sends a body of 4 MB but for its last bytes. */
  halfSentBodies: { connections: 150, perSecond: 50, tls: true, begin: sendBody },
  silentHandshakes: { connections: 7_400, perSecond: 500, tls: true, ...silent },
  silentTcp: { connections: 3_000, perSecond: 300, tls: false, ...silent },
  /** All with the same token. */
  polls: { connections: 3_000, perSecond: 300, tls: true, begin: poll, again: poll },
  forgedTokens: { connections: 50, perSecond: 50, tls: true, begin: forge, again: forge },
} as const satisfies Record<string, Kind>;

function sendBody(socket: Socket, _options: FloodOptions, counts: FloodCounts): void {
  socket.write(
    `POST /mutate?timeout=5s HTTP/1.1\r\nHost: webhook\r\nContent-Type: application/json\r\nContent-Length: ${bodyBytes + 1024}\r\n\r\n`,
  );
  const chunk = Buffer.alloc(64 * 1024, '[');
  let left = bodyBytes;
  const next = () => {
    if (left <= 0 || socket.destroyed) return;
    left -= chunk.length;
    socket.write(chunk, (error) => {
      if (error) return;
      counts.megabytes += chunk.length / 1e6;
      next();
    });
  };
  next();
}

function poll(socket: Socket, { token }: FloodOptions): void {
  socket.write(`GET ${identitiesPath}?wait=300 HTTP/1.1\r\nHost: broker\r\nAuthorization: Bearer ${token}\r\nIf-None-Match: *\r\n\r\n`);
}

function forge(socket: Socket): void {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const header = part({ alg: 'RS256', kid: randomBytes(8).toString('hex') });
  const claims = part({ iss: issuer, exp: Math.floor(Date.now() / 1000) + 3600 });
  const token = `${header}.${claims}.${randomBytes(256).toString('base64url')}`;
  socket.write(`GET ${identitiesPath} HTTP/1.1\r\nHost: broker\r\nAuthorization: Bearer ${token}\r\n\r\n`);
}

/** Keeps that many connections open; the returned function ends them. */
function start(kind: Kind, options: FloodOptions): { counts: FloodCounts; stop(): void } {
  const counts: FloodCounts = { opened: 0, established: 0, cut: 0, mostAtOnce: 0, megabytes: 0, answers: {} };
  const sockets = new Set<Socket>();

  const open = () => {
    const [host = '', port] = (options.targets[counts.opened % options.targets.length] ?? '').split(':');
    const address = { host, port: Number(port) };
    let established = false;
    counts.opened += 1;
    const begin = () => {
      established = true;
      counts.established += 1;
      kind.begin(socket, options, counts);
    };
    const socket = kind.tls ? tls.connect({ ...address, secureContext, rejectUnauthorized: false }, begin) : net.connect(address, begin);
    sockets.add(socket);
    counts.mostAtOnce = Math.max(counts.mostAtOnce, sockets.size);
    socket.on('data', (chunk: Buffer) => {
      for (const [, status = ''] of chunk.toString('latin1').matchAll(/HTTP\/1\.1 (\d{3})/g)) {
        counts.answers[status] = (counts.answers[status] ?? 0) + 1;
        setTimeout(() => kind.again?.(socket, options), 500);
      }
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      if (sockets.delete(socket) && established) counts.cut += 1;
    });
  };

  const began = performance.now();
  const timer = setInterval(() => {
    const due = ((performance.now() - began) / 1000) * kind.perSecond;
    while (counts.opened < due && sockets.size < kind.connections) open();
  }, 100);
  return {
    counts,
    stop() {
      clearInterval(timer);
      for (const socket of sockets) {
        sockets.delete(socket);
        socket.destroy();
      }
    },
  };
}

const options: FloodOptions = JSON.parse(process.argv[2] ?? '');
const running = options.kinds.map((name) => ({ name, ...start(kinds[name], options) }));
setTimeout(() => {
  for (const { stop } of running) stop();
  process.stdout.write(JSON.stringify(Object.fromEntries(running.map(({ name, counts }) => [name, counts]))), () => process.exit(0));
}, options.seconds * 1000);
