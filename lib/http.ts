import type { Server } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { parseAddress } from '../common/address.ts';
import { SettingsError } from './settings.ts';

export interface Listener {
  host: string;
  port: number;
}

/** `address:port`; an empty address listens everywhere. Throws {@link SettingsError}. */
export function parseListener(setting: string, value: string): Listener {
  const address = parseAddress(value);
  if (address === undefined) throw new SettingsError(`${setting} is '${value}': accepted is address:port or :port`);
  return { host: address.host || '0.0.0.0', port: address.port };
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

/** A plain HTTP server for probes and metrics: exact paths, GET only. */
export async function serveSmall(
  listener: Listener,
  routes: Record<string, () => SmallAnswer | Promise<SmallAnswer>>,
): Promise<SmallServer> {
  const server = createServer({ headersTimeout: 10_000, requestTimeout: 10_000 }, (request, response) => {
    const route = routes[(request.url ?? '').split('?', 1)[0] ?? ''];
    const answer: Promise<SmallAnswer> =
      route === undefined
        ? Promise.resolve({ status: 404, body: 'not found\n' })
        : request.method === 'GET' || request.method === 'HEAD'
          ? Promise.resolve().then(route)
          : Promise.resolve({ status: 405, body: 'only GET\n' });
    answer.then(
      ({ status, body, contentType }) =>
        response.writeHead(status, { 'content-type': contentType ?? 'text/plain; charset=utf-8' }).end(body),
      () => response.writeHead(500).end('internal error\n'),
    );
  });
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

function listen(server: Server, { host, port }: Listener): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        new Error(
          error.code === 'EADDRINUSE'
            ? `${host}:${port} is in use by another program`
            : `cannot listen on ${host}:${port}: ${error.message}`,
        ),
      ),
    );
    server.listen(port, host, () => resolve());
  });
}
