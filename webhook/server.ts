// The admission endpoint: fastify over TLS 1.3, HTTP/1.1 because the API server speaks nothing else to webhooks.
import type { Server } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import fastify from 'fastify';
import type { Listener } from '../lib/http.ts';
import type { Logger } from '../lib/log.ts';
import type { ServingCertificate } from './certificate.ts';
import type { Admission } from './injection/admit.ts';
import type { Metrics } from './metrics.ts';
import type { Review } from './review.ts';
import { parseReview, ReviewError, responseBody } from './review.ts';

export const admissionPath = '/mutate';
/** The API server's own limit for an object is 3 MB. */
const bodyLimit = 4 * 1024 * 1024;
/** The API server keeps idle connections for 90 s; who closes first makes it fail a pod (spec/injection.md 2.22). */
const keepAliveMs = 120_000;

/** The webhook cannot decide yet. */
export class NotReadyError extends Error {
  override readonly name = 'NotReadyError';
}

export interface AdmissionServer {
  readonly port: number;
  /** Serves new connections with it; throws and keeps the one before when OpenSSL refuses it. */
  use(certificate: Pick<ServingCertificate, 'certificate' | 'key'>): void;
  /** From now on every answer asks the client to close its connection. */
  drain(): void;
  /** Finishes what is under way. */
  stop(): Promise<void>;
}

export interface AdmissionServerOptions {
  listen: Listener;
  log: Logger;
  metrics: Metrics;
  /** May throw {@link NotReadyError}. `budgetMs` is what is left of the API server's patience. */
  admit(review: Review, budgetMs: number): Promise<Admission>;
  /** Milliseconds until a slow client is cut off, and between two looks for one. */
  patience?: { headers: number; request: number; check: number };
}

/** Listens at once; without a certificate handshakes fail. */
export async function startAdmissionServer(options: AdmissionServerOptions): Promise<AdmissionServer> {
  const { log, metrics, patience = { headers: 32_000, request: 30_000, check: 5_000 } } = options;
  let draining = false;
  const app = fastify({
    logger: false,
    bodyLimit,
    keepAliveTimeout: keepAliveMs,
    requestTimeout: patience.request,
    // A pod that is created during our last moments is answered like any other.
    return503OnClosing: false,
    https: {
      handshakeTimeout: 10_000,
      headersTimeout: patience.headers,
      connectionsCheckingInterval: patience.check,
    },
  });
  const tls = app.server as unknown as Server;

  // Node closes what it knows to be idle; a connection that shakes hands or was never used it would wait for without end.
  const sockets = new Set<Socket>();
  tls.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });

  const parseJson = app.getDefaultJsonParser('error', 'error');
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    let text: string;
    try {
      text = new TextDecoder('utf-8', { fatal: true }).decode(body as Buffer);
    } catch {
      done(new ReviewError('the body is not UTF-8'));
      return;
    }
    void parseJson(request, text, (error, value) =>
      error === null ? done(null, value) : done(new ReviewError('the body is not JSON, or has a key __proto__ or constructor.prototype')),
    );
  });

  let underWay = 0;
  const allAnswered = Promise.withResolvers<void>();
  let stopping = false;
  app.addHook('onRequest', (_request, reply, done) => {
    underWay += 1;
    // Comes after the last byte of the answer, and also when the client went away.
    reply.raw.once('close', () => {
      underWay -= 1;
      if (stopping && underWay === 0) allAnswered.resolve();
    });
    done();
  });
  app.addHook('onSend', (_request, reply, _payload, done) => {
    if (draining) reply.header('connection', 'close');
    done();
  });

  app.post(admissionPath, async (request, reply) => {
    const began = performance.now();
    const review = parseReview(request.body);
    const { decision, reason, response } = await options.admit(review, budgetOf(request.query));
    const body = responseBody(review.uid, response);
    const seconds = (performance.now() - began) / 1000;
    metrics.admitted(decision, reason, seconds);
    const { uid, namespace, name, dryRun } = review;
    log.info(
      {
        uid,
        namespace,
        name,
        decision,
        reason,
        dryRun,
        operations: response.patch.length,
        ms: Math.round(seconds * 1e5) / 100,
      },
      'admission',
    );
    return reply.type('application/json').send(body);
  });

  app.setErrorHandler((error, _request, reply) => {
    const { status, kind } = classify(error);
    metrics.failed(kind);
    const message = error instanceof Error ? error.message : String(error);
    if (kind === 'internal') log.error({ error: error instanceof Error ? error.stack : message }, 'admission failed');
    else log.warn({ status, error: message.slice(0, 300) }, 'admission request refused');
    return reply
      .code(status)
      .type('text/plain')
      .send(`${kind === 'internal' ? 'internal error' : message}\n`);
  });
  app.setNotFoundHandler((_request, reply) => reply.code(404).type('text/plain').send(`POST ${admissionPath} is all there is\n`));

  await app.listen({ host: options.listen.host, port: options.listen.port });
  const { port } = tls.address() as AddressInfo;
  return {
    port,
    use: ({ certificate, key }) => tls.setSecureContext({ cert: certificate, key, minVersion: 'TLSv1.3' }),
    drain() {
      draining = true;
    },
    async stop() {
      stopping = true;
      const closed = app.close();
      if (underWay > 0) await allAnswered.promise;
      // The last answers leave by themselves; what is still open then has nothing to say.
      await Promise.race([closed, delay(100, undefined, { ref: false })]);
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

type FailureKind = Parameters<Metrics['failed']>[0];

function classify(error: unknown): { status: number; kind: FailureKind } {
  if (error instanceof NotReadyError) return { status: 503, kind: 'not_ready' };
  if (error instanceof ReviewError) return { status: 400, kind: 'bad_request' };
  const status = error instanceof Error && 'statusCode' in error && typeof error.statusCode === 'number' ? error.statusCode : 500;
  return status >= 400 && status < 500 ? { status, kind: 'bad_request' } : { status: 500, kind: 'internal' };
}

/** The API server tells its remaining time as `?timeout=5s`. */
function budgetOf(query: unknown): number {
  const text = typeof query === 'object' && query !== null && 'timeout' in query ? String(query.timeout) : '';
  const match = /^(?<amount>\d+(?:\.\d+)?)(?<unit>m?s)$/.exec(text);
  if (match?.groups === undefined) return 5_000;
  return Number(match.groups.amount) * (match.groups.unit === 's' ? 1000 : 1);
}
