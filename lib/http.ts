import type { IncomingMessage, Server } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { parseAddress } from '../common/address.ts';
import { SettingsError } from './settings.ts';

export interface Listener {
  /** Empty for every address: Node then listens on `::`, which takes IPv4 too, or on `0.0.0.0` where there is no IPv6. */
  host: string;
  port: number;
}

/** Reads `address:port` or `:port`. Throws {@link SettingsError}. */
export function parseListener(setting: string, value: string): Listener {
  const address = parseAddress(value);
  if (address === undefined) throw new SettingsError(`${setting} is '${value}': accepted is address:port or :port`);
  return address;
}

export interface SmallServer {
  /** The port really taken, for port 0. */
  port: number;
  stop(): Promise<void>;
}

export interface SmallAnswer {
  status: number;
  body: string;
  contentType?: string;
}

/** The answer of `/readyz`. `problem` is what is still missing, in one line; undefined when ready. */
export function readinessAnswer(problem: string | undefined): SmallAnswer {
  return problem === undefined ? { status: 200, body: 'ready\n' } : { status: 503, body: `not ready: ${problem}\n` };
}

export interface SmallServerLimits {
  /** Open connections in all. */
  connections: number;
  connectionsPerSource: number;
  /** Of a connection, which serves one request. */
  lifetimeMs: number;
}

/**
 * Every pod of the cluster may reach these ports, and the kubelet restarts a program that answers no probe. Prometheus gives up a scrape after 10 s
 * by default.
 */
const defaultLimits: SmallServerLimits = { connections: 100, connectionsPerSource: 10, lifetimeMs: 10_000 };

/** A plain HTTP server for probes and metrics: exact paths, GET only, one request for each connection. */
export async function serveSmall(
  listener: Listener,
  routes: Record<string, () => SmallAnswer | Promise<SmallAnswer>>,
  limits: SmallServerLimits = defaultLimits,
): Promise<SmallServer> {
  async function answer({ method, url = '' }: IncomingMessage): Promise<SmallAnswer> {
    const route = routes[url.split('?', 1)[0] ?? ''];
    if (route === undefined) return { status: 404, body: 'not found\n' };
    if (method !== 'GET' && method !== 'HEAD') return { status: 405, body: 'only GET\n' };
    return route();
  }

  const server = createServer((request, response) => {
    response.setHeader('connection', 'close');
    answer(request).then(
      ({ status, body, contentType = 'text/plain; charset=utf-8' }) =>
        response.writeHead(status, { 'content-type': contentType }).end(body),
      () => response.writeHead(500).end('internal error\n'),
    );
  });
  // Further requests that a client pipelines reach no route.
  server.maxRequestsPerSocket = 1;
  limitConnections(server, limits);
  await listen(server, listener);
  return {
    port: (server.address() as AddressInfo).port,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** The oldest connection makes room for a new one: whoever holds all of them cannot keep a probe out. */
function limitConnections(server: Server, { connections, connectionsPerSource, lifetimeMs }: SmallServerLimits): void {
  const open = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    const ofSource = [...open].filter(({ remoteAddress }) => remoteAddress === socket.remoteAddress);
    const [oldest] = ofSource.length >= connectionsPerSource ? ofSource : open.size >= connections ? open : [];
    oldest?.destroy();
    if (oldest !== undefined) open.delete(oldest);
    open.add(socket);
    const timer = setTimeout(() => socket.destroy(), lifetimeMs);
    socket.once('close', () => {
      clearTimeout(timer);
      open.delete(socket);
    });
  });
}

function listen(server: Server, { host, port }: Listener): Promise<void> {
  const address = `${host.includes(':') ? `[${host}]` : host}:${port}`;
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        new Error(
          error.code === 'EADDRINUSE' ? `${address} is in use by another program` : `cannot listen on ${address}: ${error.message}`,
        ),
      ),
    );
    server.listen(port, host, () => resolve());
  });
}
