// The routes of the broker. Once the caches are complete, each authenticates the caller by its token. Three are for sidecars, and authorize the pod: by
// the caches or, where they do not hold it, by the API server. A poll authorizes after its wait for caches as current as its cursor, and again for each
// answer. The fourth is for the node endpoint (host-token.ts beside this file).
import type { FastifyRequest } from 'fastify';
import type { HostTokenResponse } from '../api/broker.ts';
import { hostTokenPath, identitiesPath, reportPath, tokenPath } from '../api/broker.ts';
import { rowKey } from '../api/identity-choice.ts';
import { at, stringAt } from '../lib/kube/objects.ts';
import { limitEach, waitInFairTurn } from '../lib/rate-limiters.ts';
import type { TlsApp } from '../lib/tls/server.ts';
import type { Authenticate } from './authenticate.ts';
import type { BoundPod, Caller } from './bound-token.ts';
import type { NodeOfCaller } from './caller-node.ts';
import { isNodeEndpoint } from './caller-node.ts';
import { BrokerError } from './error.ts';
import type { NodeEndpointRules } from './host-token.ts';
import { awaitHostRow, maxResourceLength, parseHostTokenRequest } from './host-token.ts';
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
  /** The release namespace. */
  home: string;
  /** Undefined where there is no node endpoint. */
  nodeEndpoint: { rules: NodeEndpointRules; nodeOf: NodeOfCaller; requests: PollLimit } | undefined;
  onRefused(limit: BrokerLimit): void;
}

/** A pod that asks for ever new resources must not exhaust Entra's limit for its application. */
const mintRate = { perSecond: 0.5, burst: 30 };
/** Each token request reads a Secret, and a tenant can make many pods. So the API server reads no more of them, and namespaces take turns. */
const secretRate = { perSecond: 40, burst: 200, maxWaiting: 1_000 };

/** Of one node: the rest can be used up by whatever runs in its network. */
const hostTokenRate = { perSecond: 20, burst: 250 };

export function addRoutes(app: TlsApp, dependencies: RouteDependencies): void {
  const mint = limitMinting(dependencies);
  addPollRoute(app, dependencies);
  addReportRoute(app, dependencies);
  addTokenRoute(app, dependencies, mint);
  if (dependencies.nodeEndpoint !== undefined) addHostTokenRoute(app, { ...dependencies, ...dependencies.nodeEndpoint }, mint);
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

/** Mints for an identity of the pod, whoever asks for it. */
type MintForPod = (pod: Pick<BoundPod, 'uid' | 'namespace'>, identity: string, resource: string) => ReturnType<MintToken>;

function limitMinting({ mintToken, clock, onRefused }: RouteDependencies): MintForPod {
  const mayMint = limitEach({ ...mintRate, keys: 20_000, clock });
  const turn = waitInFairTurn({ ...secretRate, clock });
  return async (pod, identity, resource) => {
    if (!mayMint(pod.uid)) throw new BrokerError('throttled', 'too many token requests of this pod', { retryAfterSeconds: 5 });
    if (resource === '' || resource.length > maxResourceLength)
      throw new BrokerError('bad_request', `resource must be a text of 1 to ${maxResourceLength} characters`);
    if (!(await turn(pod.namespace))) {
      onRefused('tokens');
      throw new BrokerError('throttled', 'too many token requests at once: try again', { retryAfterSeconds: 5 });
    }
    return mintToken(identity, resource);
  };
}

function addTokenRoute(app: TlsApp, dependencies: RouteDependencies, mint: MintForPod): void {
  app.post(tokenPath, async (request, reply) => {
    const pod = await callerOf(request, dependencies);
    const identity = identityIn(await dependencies.authorize(pod), request.body);
    const resource = stringAt(request.body, 'resource') ?? '';
    return reply.header('cache-control', 'no-store').send(await mint(pod, identity, resource));
  });
}

function addHostTokenRoute(
  app: TlsApp,
  dependencies: RouteDependencies & NonNullable<RouteDependencies['nodeEndpoint']>,
  mint: MintForPod,
): void {
  const { clock, requests } = dependencies;
  const mayAsk = limitEach({ ...hostTokenRate, keys: 10_000, clock });
  app.post(hostTokenPath, async (request, reply) => {
    const caller = await authenticated(request, dependencies);
    if (!mayAsk(caller.uid)) throw new BrokerError('throttled', 'too many requests of this node', { retryAfterSeconds: 5 });
    const asked = parseHostTokenRequest(request.body);
    const ending = new AbortController();
    const end = () => ending.abort();
    reply.raw.once('close', end);
    const leave = requests.enter(caller.uid, end);
    const found = await awaitHostRow(dependencies, { caller, request: asked, signal: ending.signal }).finally(leave);
    const identity = found.row;
    reply.header('cache-control', 'no-store');
    if (identity.source === 'imds') return reply.send({ identity } satisfies HostTokenResponse);
    const pod = { namespace: asked.namespace, uid: found.uid };
    const [token] = [await mint(pod, rowKey(identity), asked.resource)].flat();
    return reply.send({ identity, ...(token === undefined ? {} : { token }) } satisfies HostTokenResponse);
  });
}

/** A pod with a sidecar. The node endpoint has a route of its own. */
async function callerOf(request: FastifyRequest, dependencies: RouteDependencies): Promise<BoundPod> {
  const caller = await authenticated(request, dependencies);
  if (isNodeEndpoint(caller, dependencies.home))
    throw new BrokerError('forbidden', `the node endpoint may only call POST ${hostTokenPath}`);
  return caller;
}

async function authenticated(request: FastifyRequest, { rows, authenticate }: RouteDependencies): Promise<Caller> {
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
