// The three routes of the broker. Once the caches are complete, each authenticates the pod by its token, then authorizes it: by the caches or, where
// they do not hold the pod, by the API server. A poll authorizes after its wait for caches as current as its cursor, and again for each answer.
import type { FastifyRequest } from 'fastify';
import { identitiesPath, reportPath, tokenPath } from '../api/broker.ts';
import { at, stringAt } from '../lib/kube/objects.ts';
import { limitEach, waitInFairTurn } from '../lib/rate-limiters.ts';
import type { TlsApp } from '../lib/tls/server.ts';
import type { Authenticate } from './authenticate.ts';
import type { BoundPod } from './bound-token.ts';
import { BrokerError } from './error.ts';
import type { BrokerLimit } from './limits.ts';
import type { PollDependencies } from './long-poll.ts';
import { pollIdentities } from './long-poll.ts';
import type { PollLimit } from './poll-limit.ts';
import type { Report } from './reports.ts';
import { createReportAcceptor, identityIn } from './reports.ts';
import type { MintToken } from './token-minter.ts';

export interface RouteDependencies extends PollDependencies {
  authenticate: Authenticate;
  polls: PollLimit;
  onReport(report: Report): void;
  mintToken: MintToken;
  onRefused(limit: BrokerLimit): void;
}

const maxResourceLength = 2048;
/** A pod that asks for ever new resources must not exhaust Entra's limit for its application. */
const mintRate = { perSecond: 0.5, burst: 30 };
/** Each token request reads a Secret, and a tenant can make many pods. So the API server reads no more of them, and namespaces take turns. */
const secretRate = { perSecond: 40, burst: 200, maxWaiting: 1_000 };

export function addRoutes(app: TlsApp, dependencies: RouteDependencies): void {
  addPollRoute(app, dependencies);
  addReportRoute(app, dependencies);
  addTokenRoute(app, dependencies);
}

function addPollRoute(app: TlsApp, dependencies: RouteDependencies): void {
  app.get(identitiesPath, async (request, reply) => {
    const pod = await callerOf(request, dependencies);
    const ending = new AbortController();
    const end = () => ending.abort();
    const poll = {
      pod,
      wait: queryText(request.query, 'wait'),
      asOf: queryText(request.query, 'asOf'),
      ifNoneMatch: request.headers['if-none-match'],
      signal: ending.signal,
    };
    reply.raw.once('close', end);
    const leave = dependencies.polls.enter(pod.uid, end);
    const { etag, body } = await pollIdentities(dependencies, poll).finally(leave);
    reply.header('etag', etag).header('cache-control', 'no-store');
    return body === undefined ? reply.code(304).send() : reply.send(body);
  });
}

function addReportRoute(app: TlsApp, dependencies: RouteDependencies): void {
  const accept = createReportAcceptor(dependencies.clock);
  app.post(reportPath, async (request, reply) => {
    const pod = await callerOf(request, dependencies);
    dependencies.onReport(accept(pod, await dependencies.authorize(pod), request.body));
    return reply.code(202).send({});
  });
}

function addTokenRoute(app: TlsApp, dependencies: RouteDependencies): void {
  const { clock, onRefused } = dependencies;
  const mayMint = limitEach({ ...mintRate, keys: 20_000, clock });
  const turn = waitInFairTurn({ ...secretRate, clock });
  app.post(tokenPath, async (request, reply) => {
    const pod = await callerOf(request, dependencies);
    const identity = identityIn(await dependencies.authorize(pod), request.body);
    const resource = stringAt(request.body, 'resource') ?? '';
    if (!mayMint(pod.uid)) throw new BrokerError('throttled', 'too many token requests of this pod', { retryAfterSeconds: 5 });
    if (resource === '' || resource.length > maxResourceLength)
      throw new BrokerError('bad_request', `resource must be a text of 1 to ${maxResourceLength} characters`);
    if (!(await turn(pod.namespace))) {
      onRefused('tokens');
      throw new BrokerError('throttled', 'too many token requests at once: try again', { retryAfterSeconds: 5 });
    }
    return reply.header('cache-control', 'no-store').send(await dependencies.mintToken(identity, resource));
  });
}

async function callerOf(request: FastifyRequest, { rows, authenticate }: RouteDependencies): Promise<BoundPod> {
  // With incomplete caches every pod would be unknown.
  if (!rows.synced) throw new BrokerError('not_ready', 'the caches are not complete yet: try again');
  return authenticate(request.headers.authorization, request.ip);
}

/** Throws {@link BrokerError} for a parameter that is given twice. */
function queryText(query: unknown, name: string): string | undefined {
  const value = at(query, name);
  if (value === undefined || typeof value === 'string') return value;
  throw new BrokerError('bad_request', `${name} must be given once`);
}
