// The only code that touches sockets: turns HTTP into plain requests and plain answers (or faults) into HTTP.

import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';
import { createServer as createHttpServer } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import type { Clock } from './clock.ts';
import type { Delivery } from './engine.ts';
import type { Answer, Incoming } from './messages.ts';

export type ListenAddress = { readonly host: string; readonly port: number };

export type Listener = {
  readonly url: string;
  /** Closes the port (connections are refused) until `open`. */
  close(): Promise<void>;
  open(): Promise<void>;
};

export type ListenerOptions = {
  readonly address: ListenAddress;
  readonly tls: { readonly cert: string; readonly key: string } | null;
  readonly clock: Clock;
  /** Lenient: a trailing slash and doubled slashes are dropped from the path before anything reads it. */
  readonly lenientPaths: boolean;
  readonly exchange: (request: Incoming, signal: AbortSignal) => Promise<Delivery>;
  /** What this service answers to bytes that are not HTTP, and to a body that is too long. */
  readonly refusal: (status: number, message: string) => Answer;
};

const longestBody = 4 * 1024 * 1024;

/** Null where it is too long; the rest is then not read, but the connection stays for the answer. */
async function readBody(message: IncomingMessage): Promise<string | null> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of message.iterator({ destroyOnReturn: false })) {
    const bytes = Buffer.from(chunk);
    length += bytes.length;
    if (length > longestBody) return null;
    chunks.push(bytes);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function tidyPath(path: string): string {
  return path.replace(/\/{2,}/g, '/').replace(/(?<=.)\/$/, '');
}

function toIncoming(message: IncomingMessage, body: string, options: ListenerOptions, url: string): Incoming {
  const target = message.url ?? '/';
  // A proxy-style absolute target names the same path.
  const relative = target.replace(/^https?:\/\/[^/?]*/i, '');
  const mark = relative.indexOf('?');
  const rawPath = (mark < 0 ? relative : relative.slice(0, mark)) || '/';
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(message.headers)) headers[name] = Array.isArray(value) ? value.join(', ') : (value ?? '');
  const scheme = options.tls === null ? 'http' : 'https';
  return {
    method: message.method ?? 'GET',
    target,
    path: options.lenientPaths ? tidyPath(rawPath) : rawPath,
    query: new URLSearchParams(mark < 0 ? '' : relative.slice(mark + 1)),
    headers,
    body,
    origin: headers.host === undefined || headers.host === '' ? url : `${scheme}://${headers.host}`,
  };
}

async function deliver(delivery: Delivery, response: ServerResponse, clock: Clock, signal: AbortSignal): Promise<void> {
  const { answer, manner } = delivery;
  const { socket } = response;
  if (manner === 'hang' || signal.aborted) return;
  if (manner === 'reset') {
    // Node can send a RST on a plain TCP socket only; a TLS one is cut off without its closing words.
    if (socket === null || socket instanceof TLSSocket) response.destroy();
    else socket.resetAndDestroy();
    return;
  }
  const body = Buffer.from(answer.body);
  const head = { ...answer.headers, date: new Date(clock.now()).toUTCString(), 'content-length': String(body.length) };
  response.sendDate = false;
  response.writeHead(answer.status || 200, head);
  if (manner === 'whole') return void response.end(body);
  const half = body.subarray(0, body.length / 2);
  response.write(half);
  if (manner === 'half-open') return;
  await clock.sleep(manner.slowMs, signal);
  response.end(body.subarray(half.length));
}

function listener(options: ListenerOptions, url: () => string): RequestListener {
  async function respond(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const gone = new AbortController();
    response.on('close', () => gone.abort());
    const body = await readBody(message);
    if (body === null) {
      const refusal = options.refusal(413, 'The request body is larger than 4 MiB.');
      return deliver(
        { answer: { ...refusal, headers: { ...refusal.headers, connection: 'close' } }, manner: 'whole' },
        response,
        options.clock,
        gone.signal,
      );
    }
    return deliver(await options.exchange(toIncoming(message, body, options, url()), gone.signal), response, options.clock, gone.signal);
  }
  return (message, response) => {
    // Only the connection itself can fail here, so nobody can be answered.
    respond(message, response).catch(() => response.destroy());
  };
}

function answerRaw(socket: Duplex, answer: Answer): void {
  if (!socket.writable) return void socket.destroy();
  const headers = Object.entries({ ...answer.headers, 'content-length': String(Buffer.byteLength(answer.body)), connection: 'close' });
  socket.end(
    `HTTP/1.1 ${answer.status} Bad Request\r\n${headers.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n${answer.body}`,
  );
}

function listenOn(server: Server, { host, port }: ListenAddress): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port, backlog: 4096 }, () => {
      server.off('error', reject);
      const address = server.address();
      if (address === null || typeof address === 'string') reject(new Error('the listener has no address'));
      else resolve(address);
    });
  });
}

/** Starts to listen; rejects where the address cannot be had. */
export async function startListener(options: ListenerOptions): Promise<Listener> {
  let url = '';
  const onRequest = listener(options, () => url);
  // Longer than clients keep idle connections, so that the clients close them.
  const timeouts = { keepAliveTimeout: 120_000, headersTimeout: 60_000, requestTimeout: 0 };
  const server =
    options.tls === null ? createHttpServer(timeouts, onRequest) : createHttpsServer({ ...timeouts, ...options.tls }, onRequest);
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    if (error.code === 'ECONNRESET') return void socket.destroy();
    answerRaw(socket, options.refusal(error.code === 'HPE_HEADER_OVERFLOW' ? 431 : 400, 'The request is not valid HTTP.'));
  });
  const { address, port, family } = await listenOn(server, options.address);
  const host = family === 'IPv6' ? `[${address}]` : address;
  const standard = options.tls === null ? 80 : 443;
  url = `${options.tls === null ? 'http' : 'https'}://${host}${port === standard ? '' : `:${port}`}`;
  return {
    url,
    async close() {
      if (!server.listening) return;
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
    async open() {
      if (!server.listening) await listenOn(server, { host: address, port });
    },
  };
}
