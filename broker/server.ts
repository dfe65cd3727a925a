// The identity broker: fastify over TLS 1.3, on every replica, whoever leads.
import type { Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import fastify from 'fastify';
import type { TokenAnswer } from '../api/broker.ts';
import { identitiesPath, reportPath, tokenPath } from '../api/broker.ts';
import { brokerAudience } from '../api/names.ts';
import type { Listener } from '../lib/http.ts';
import type { KubeClient } from '../lib/kube/client.ts';
import { at, stringAt } from '../lib/kube/objects.ts';
import type { Logger } from '../lib/log.ts';
import { authenticator } from './authenticate.ts';
import { pollIdentities } from './identities.ts';
import { readIssuer } from './issuer.ts';
import { participation } from './participation.ts';
import type { Published } from './published.ts';
import { rateLimitEach } from './rate-limit.ts';
import { Refusal } from './refusal.ts';
import type { Report } from './report.ts';
import { identityIn, reportDesk } from './report.ts';
import type { BrokerView } from './view.ts';
import { createWaiters } from './waiters.ts';

export interface BrokerOptions {
  client: KubeClient;
  log: Logger;
  listen: Listener;
  view: BrokerView;
  published: Pick<Published, 'leaf' | 'caBundle' | 'onChange'>;
  onReport(report: Report): void;
  /** For an identity of type 1 or 2, by `namespace/name`; may throw {@link Refusal}. Without it there is no token route. */
  mintToken?: (identity: string, resource: string) => Promise<TokenAnswer | TokenAnswer[]>;
  now?: () => number;
  random?: () => number;
}

export interface Broker {
  /** The port really taken, for port 0. */
  readonly port: number;
  /** Copies synced, certificate and CA bundle there. */
  readonly ready: boolean;
  /** Polls that are held at this moment. */
  readonly heldPolls: number;
  /** Answers what is held, finishes what is under way, then closes. */
  stop(): Promise<void>;
}

const bodyLimit = 4096;
const maxResourceLength = 2048;
/** Sidecars keep their connection; ended now and then, they spread over the replicas again. Jittered, so that they do not come together. */
const connectionMs = 30 * 60_000;
const closeMs = 5_000;
/** A pod that asks for ever new resources must not use up Entra's patience with its application. */
const mintsPerSecond = 0.5;
const mintBurst = 30;

/** Listens at once; until there is a certificate handshakes fail, and until the copies have synced the answer is 503. */
export async function startBroker(options: BrokerOptions): Promise<Broker> {
  const { client, log, view, published } = options;
  const now = options.now ?? Date.now;
  const random = options.random ?? Math.random;
  const authenticate = authenticator({ client, log, issuer: readIssuer({ client, log, now }), audience: brokerAudience, now });
  const members = participation({ client, view, now });
  const waiters = createWaiters();
  const acceptReport = reportDesk({ now, onReport: options.onReport });
  const poll = { view, participation: members, waiters, caBundle: () => published.caBundle, now };
  const polls = new Set<AbortController>();
  let stopping = false;

  const app = fastify({
    logger: false,
    bodyLimit,
    keepAliveTimeout: 120_000,
    requestTimeout: 30_000,
    forceCloseConnections: 'idle',
    https: { minVersion: 'TLSv1.3', headersTimeout: 10_000, handshakeTimeout: 10_000, maxHeaderSize: 16 * 1024 },
  });
  const tls = app.server as unknown as Server;
  endConnections(app, tls, { now, random, isStopping: () => stopping });
  answerErrors(app, log);

  async function callerOf(request: FastifyRequest) {
    // Reflectors that have not synced would make every pod look gone.
    if (!view.synced) throw new Refusal('not_ready', 'the copies of the cluster are not complete yet: try again');
    return authenticate(request.headers.authorization);
  }

  app.get(identitiesPath, async (request, reply) => {
    const pod = await callerOf(request);
    const held = new AbortController();
    if (stopping) held.abort();
    polls.add(held);
    reply.raw.once('close', () => held.abort());
    try {
      const { etag, body } = await pollIdentities(poll, {
        pod,
        wait: queryText(request.query, 'wait'),
        asOf: queryText(request.query, 'asOf'),
        known: request.headers['if-none-match'],
        signal: held.signal,
      });
      reply.header('etag', etag).header('cache-control', 'no-store');
      return body === undefined ? reply.code(304).send() : reply.send(body);
    } finally {
      polls.delete(held);
    }
  });

  app.post(reportPath, async (request, reply) => {
    const pod = await callerOf(request);
    acceptReport(pod, await members.viewOf(pod), request.body);
    return reply.code(202).send({});
  });

  const { mintToken } = options;
  const mayMint = rateLimitEach(mintsPerSecond, mintBurst, now);
  if (mintToken !== undefined)
    app.post(tokenPath, async (request, reply) => {
      const pod = await callerOf(request);
      const rows = await members.viewOf(pod);
      const identity = identityIn(rows, request.body);
      const resource = stringAt(request.body, 'resource') ?? '';
      if (!mayMint(pod.uid)) throw new Refusal('throttled', 'too many token requests of this pod', { retryAfterSeconds: 5 });
      if (resource === '' || resource.length > maxResourceLength)
        throw new Refusal('bad_request', `resource must be a text of 1 to ${maxResourceLength} characters`);
      return reply.header('cache-control', 'no-store').send(await mintToken(identity, resource));
    });

  const useCertificate = () => {
    if (published.leaf === undefined) return;
    try {
      tls.setSecureContext({ cert: published.leaf.certificate, key: published.leaf.key, minVersion: 'TLSv1.3' });
    } catch (error) {
      log.error({ error: String(error) }, 'the certificate of the broker cannot be used; the one before stays');
    }
  };
  useCertificate();
  await app.listen({ host: options.listen.host, port: options.listen.port });
  const unsubscribe = [
    view.onChange((podKey) => waiters.wake(podKey)),
    published.onChange(() => {
      useCertificate();
      waiters.wakeAll();
    }),
  ];

  return {
    port: (tls.address() as AddressInfo).port,
    get ready() {
      return view.synced && published.leaf !== undefined && published.caBundle !== undefined && !stopping;
    },
    get heldPolls() {
      return waiters.size;
    },
    async stop() {
      for (const off of unsubscribe) off();
      stopping = true;
      for (const held of polls) held.abort();
      // A client that does not read its answer must not keep the process.
      const timer = setTimeout(() => tls.closeAllConnections(), closeMs);
      await app.close();
      clearTimeout(timer);
    },
  };
}

/** Throws {@link Refusal} for a parameter that is given twice. */
function queryText(query: unknown, name: string): string | undefined {
  const value = at(query, name);
  if (value === undefined || typeof value === 'string') return value;
  throw new Refusal('bad_request', `${name} must be given once`);
}

/** A connection gets its end at birth and is told with the first answer after it; no timer needed. */
function endConnections(
  app: FastifyInstance,
  tls: Server,
  { now, random, isStopping }: { now: () => number; random: () => number; isStopping: () => boolean },
): void {
  const ends = new WeakMap<object, number>();
  tls.on('secureConnection', (socket) => ends.set(socket, now() + connectionMs * (0.8 + 0.4 * random())));
  app.addHook('onSend', (request, reply, _payload, done) => {
    if (isStopping() || now() >= (ends.get(request.raw.socket) ?? 0)) reply.header('connection', 'close');
    done();
  });
}

function answerErrors(app: FastifyInstance, log: Logger): void {
  app.setErrorHandler((error, request, reply) => send(reply, refusalOf(error, request, log)));
  app.setNotFoundHandler((_request, reply) =>
    send(reply, new Refusal('not_found', `there is only GET ${identitiesPath}, POST ${tokenPath} and POST ${reportPath}`)),
  );
}

function send(reply: FastifyReply, refusal: Refusal): FastifyReply {
  if (refusal.retryAfterSeconds !== undefined) reply.header('retry-after', String(refusal.retryAfterSeconds));
  if (refusal.status === 401) reply.header('www-authenticate', 'Bearer');
  return reply.code(refusal.status).send(refusal.body);
}

function refusalOf(error: unknown, request: FastifyRequest, log: Logger): Refusal {
  if (error instanceof Refusal) {
    log.debug({ path: request.routeOptions.url, code: error.code, message: error.message }, 'refused');
    return error;
  }
  // What fastify itself refuses: a body that is too large or not JSON.
  const status = error instanceof Error && 'statusCode' in error && typeof error.statusCode === 'number' ? error.statusCode : 500;
  if (error instanceof Error && status >= 400 && status < 500) return new Refusal('bad_request', error.message, { status });
  log.error({ path: request.routeOptions.url, error: error instanceof Error ? error.stack : String(error) }, 'request failed');
  return new Refusal('internal', 'internal error');
}
