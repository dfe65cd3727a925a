// An HTTPS server for callers inside the cluster: fastify over TLS 1.3 whose certificate is renewed while it serves, and which drains before it stops.
// The webhook and the broker add their routes and limits.
import type { Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import fastify from 'fastify';
import type { Clock } from '../../common/clock.ts';
import { systemClock } from '../../common/clock.ts';
import type { Listener } from '../http.ts';
import type { Logger } from '../log.ts';
import type { ConnectionAgeOptions } from './connection-age.ts';
import { trackConnectionAge } from './connection-age.ts';
import { answerInOrder, closeUnread } from './connection-rules.ts';
import { BodyError } from './json-body.ts';
import type { TlsLimits } from './paced-handshakes.ts';
import { paceHandshakes } from './paced-handshakes.ts';
import type { BodyLimits } from './request-bodies.ts';
import { readJsonBodies } from './request-bodies.ts';
import type { ServingCertificate } from './serving-certificate.ts';

export type TlsApp = FastifyInstance<Server>;

/** A string is sent as text, anything else as JSON. */
export interface ErrorResponse {
  status: number;
  headers?: Readonly<Record<string, string>>;
  body: string | object;
}

export interface TlsServerOptions {
  listen: Listener;
  log: Logger;
  certificate: Pick<ServingCertificate, 'keyPair' | 'onChange'>;
  /** Bytes of a request's body. */
  bodyLimit: number;
  limits: TlsLimits & BodyLimits;
  /** Adds the routes. */
  routes(app: TlsApp): void;
  /** For whatever a route throws, and for requests that fastify refuses: see {@link clientErrorStatus}. */
  errorResponse(error: unknown, path: string | undefined): ErrorResponse;
  /** For requests that no route serves. */
  notFound: ErrorResponse;
  /** Without it connections are kept for as long as clients use them. */
  connectionAge?: Omit<ConnectionAgeOptions, 'clock'>;
  clock?: Clock;
}

export interface TlsServer {
  /** The port really taken, for port 0. */
  readonly port: number;
  /** From now on each response asks its client to close the connection. */
  drain(): void;
  /** Closes the listener, finishes the requests in flight, then closes every connection. */
  stop(): Promise<void>;
}

/** kube-apiserver closes idle connections after 90 s; a server that closes first fails a request (docs/reference/sidecars.md). */
const keepAliveMs = 120_000;
const handshakeMs = 10_000;
/** A client has this long to read a response. */
const readMs = 10_000;
/** Requests in flight get this long when the server stops: a client that does not read its response must not keep the process. */
const stopMs = 5_000;
/** The last bytes of finished responses get this long. */
const flushMs = 100;

/** Listens at once; without a certificate handshakes fail. */
export async function startTlsServer(options: TlsServerOptions): Promise<TlsServer> {
  const { clock = systemClock } = options;
  const app = fastify<Server>({
    logger: false,
    bodyLimit: options.bodyLimit,
    keepAliveTimeout: keepAliveMs,
    requestTimeout: keepAliveMs,
    // Requests on open connections are served until the server has stopped.
    return503OnClosing: false,
    https: {
      minVersion: 'TLSv1.3',
      handshakeTimeout: handshakeMs,
      // Counts for connections without any request too, which the API server keeps in reserve (docs/reference/node-runtime.md#http-servers).
      headersTimeout: keepAliveMs,
    },
  });
  const closeConnections = paceHandshakes(app.server, { limits: options.limits, handshakeMs, clock });
  answerInOrder(app);
  closeUnread(app, { ms: readMs, clock });
  const requests = trackRequests(app);
  const isOld = options.connectionAge === undefined ? () => false : trackConnectionAge(app.server, { ...options.connectionAge, clock });
  let draining = false;
  app.addHook('onSend', (request, reply, _payload, done) => {
    if (draining || isOld(request.raw.socket)) reply.header('connection', 'close');
    done();
  });
  readJsonBodies(app, { limits: options.limits, bodyLimit: options.bodyLimit, clock });
  respondToErrors(app, options);
  closeUnfinished(app);
  options.routes(app);

  const unsubscribe = followCertificate(app.server, options);
  await app.listen({ host: options.listen.host, port: options.listen.port });
  return {
    port: (app.server.address() as AddressInfo).port,
    drain() {
      draining = true;
    },
    async stop() {
      draining = true;
      unsubscribe();
      const closed = app.close();
      await atMost(stopMs, requests.whenNone(), clock);
      await atMost(flushMs, closed, clock);
      // Node knows no connections that are in their handshake or were never used; closing the server would wait for them.
      closeConnections();
      await closed;
    },
  };
}

/** The status that fastify gives a bad request, such as 413 for a body that is too large; undefined for any other error. */
export function clientErrorStatus(error: unknown): number | undefined {
  const status = error instanceof Error && 'statusCode' in error ? error.statusCode : undefined;
  return typeof status === 'number' && status >= 400 && status < 500 ? status : undefined;
}

function respondToErrors(app: TlsApp, { errorResponse, notFound }: TlsServerOptions): void {
  app.setErrorHandler((error, request, reply) => {
    const { status, headers = {}, body } = errorResponse(error, request.routeOptions.url);
    // The rest of a refused body is not read.
    if (error instanceof BodyError && error.statusCode !== 400) reply.header('connection', 'close');
    if (error instanceof BodyError && error.statusCode === 429) reply.header('retry-after', '1');
    return reply.code(status).headers(headers).send(body);
  });
  app.setNotFoundHandler((_request, reply) =>
    reply
      .code(notFound.status)
      .headers(notFound.headers ?? {})
      .send(notFound.body),
  );
}

/** Node would read and drop the rest of a body that no route reads, such as one of another content type, however long it is. */
function closeUnfinished(app: TlsApp): void {
  app.addHook('onSend', ({ raw, headers }, reply, _payload, done) => {
    const hasBody = headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
    if (hasBody && !raw.complete) reply.header('connection', 'close');
    done();
  });
}

/** Serves new connections with the certificate of now. One that OpenSSL refuses changes nothing. */
function followCertificate(server: Server, { certificate, log }: TlsServerOptions): () => void {
  const use = () => {
    if (certificate.keyPair === undefined) return;
    try {
      server.setSecureContext({ cert: certificate.keyPair.certificate, key: certificate.keyPair.key, minVersion: 'TLSv1.3' });
    } catch (error) {
      log.error({ error: String(error) }, 'serving certificate refused by TLS');
    }
  };
  use();
  return certificate.onChange(use);
}

function trackRequests(app: TlsApp): { whenNone(): Promise<void> } {
  const none = new Set<() => void>();
  let inFlight = 0;
  app.addHook('onRequest', (_request, reply, done) => {
    inFlight += 1;
    // Follows the last byte of the response, and also a client that went away.
    reply.raw.once('close', () => {
      inFlight -= 1;
      if (inFlight === 0) for (const resolve of none) resolve();
    });
    done();
  });
  return {
    whenNone: () => (inFlight === 0 ? Promise.resolve() : new Promise((resolve) => none.add(resolve))),
  };
}

function atMost(ms: number, promise: Promise<unknown>, clock: Clock): Promise<void> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(ms, resolve);
    void promise.then(() => resolve(), reject).finally(cancel);
  });
}
