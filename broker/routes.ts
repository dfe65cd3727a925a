// The routes of the broker. Once the caches are complete, each authenticates the caller by its token. Three are for sidecars, and authorize the pod: by
// the caches or, where they do not hold it, by the API server. A poll authorizes after its wait for caches as current as its cursor, and again for each
// answer. The fourth is for the node endpoint (host-token.ts beside this file).
import type { FastifyRequest } from 'fastify';
import type { HostTokenResponse } from '../api/broker.ts';
import { hostTokenPath, identitiesPath, reportPath, tokenPath } from '../api/broker.ts';
import { at, stringAt } from '../lib/kube/objects.ts';
import { limitEach } from '../lib/rate-limiters.ts';
import type { TlsApp } from '../lib/tls/server.ts';
import type { Authenticate } from './authenticate.ts';
import type { Caller } from './bound-token.ts';
import type { NodeOfCaller } from './caller-node.ts';
import { isNodeEndpoint } from './caller-node.ts';
import type { ReportedCounts, Reporter } from './counts.ts';
import { createCountsReader, parseCounts } from './counts.ts';
import { BrokerError } from './error.ts';
import { isController } from './federation/routes.ts';
import type { NodeEndpointRules } from './host-token.ts';
import { awaitHostRow, parseHostTokenRequest } from './host-token.ts';
import type { BrokerLimit } from './limits.ts';
import type { PollDependencies } from './long-poll.ts';
import { pollIdentities } from './long-poll.ts';
import type { MintForPod } from './mint-limits.ts';
import { limitMinting } from './mint-limits.ts';
import type { PollLimit } from './poll-limit.ts';
import type { Report } from './reports.ts';
import { createReportAcceptor, identityIn } from './reports.ts';
import type { MintToken, TokenCall } from './token-call.ts';

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
  onCounts(reporter: Reporter, counts: ReportedCounts): void;
}

/** Client capabilities that tokens are made for. Others change nothing, and would be a token of their own in the cache. */
const knownCapabilities = ['cp1'];

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
  const readCounts = createCountsReader(dependencies.clock);
  app.get(identitiesPath, async (request, reply) => {
    const pod = await callerOf(request, dependencies);
    const ending = new AbortController();
    const end = () => ending.abort();
    const counts = queryText(request.query, 'counts');
    const poll = {
      pod,
      wait: queryText(request.query, 'wait'),
      asOf: queryText(request.query, 'asOf'),
      ifNoneMatch: request.headers['if-none-match'],
      signal: ending.signal,
      onAuthorized: () => dependencies.onCounts('sidecar', readCounts(pod.uid, counts)),
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

function addTokenRoute(app: TlsApp, dependencies: RouteDependencies, mint: MintForPod): void {
  app.post(tokenPath, async (request, reply) => {
    const caller = await callerOf(request, dependencies);
    const row = identityIn(await dependencies.authorize(caller), request.body);
    const resource = stringAt(request.body, 'resource') ?? '';
    const call = { pod: caller, caller, row, resource, ...wishesIn(request.body) };
    return reply.header('cache-control', 'no-store').send(await mint(call));
  });
}

function wishesIn(body: unknown): Pick<TokenCall, 'capabilities' | 'refresh'> {
  const given = (stringAt(body, 'capabilities') ?? '').split(',').map((name) => name.trim().toLowerCase());
  return { capabilities: knownCapabilities.filter((known) => given.includes(known)), refresh: at(body, 'refresh') === true };
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
    if (isNodeEndpoint(caller, dependencies.home)) dependencies.onCounts('node_endpoint', parseCounts(asked.counts));
    const ending = new AbortController();
    const end = () => ending.abort();
    reply.raw.once('close', end);
    const leave = requests.enter(caller.uid, end);
    const found = await awaitHostRow(dependencies, { caller, request: asked, signal: ending.signal }).finally(leave);
    const identity = found.row;
    reply.header('cache-control', 'no-store');
    if (identity.source === 'imds') return reply.send({ identity } satisfies HostTokenResponse);
    const pod = { namespace: asked.namespace, name: asked.pod, uid: found.uid };
    const call = { pod, caller, row: identity, resource: asked.resource, capabilities: [], refresh: false };
    const [token] = [await mint(call)].flat();
    return reply.send({ identity, ...(token === undefined ? {} : { token }) } satisfies HostTokenResponse);
  });
}

/** A pod with a sidecar. The node endpoint has a route of its own. */
async function callerOf(request: FastifyRequest, dependencies: RouteDependencies): Promise<Caller> {
  const caller = await authenticated(request, dependencies);
  if (isController(caller, dependencies.home)) throw new BrokerError('forbidden', 'the controller has no identities');
  if (isNodeEndpoint(caller, dependencies.home))
    throw new BrokerError('forbidden', `the node endpoint may only call POST ${hostTokenPath}`);
  return caller;
}

async function authenticated(request: FastifyRequest, { rows, authenticate }: RouteDependencies): Promise<Caller> {
  // With incomplete caches every pod would be unknown.
  if (!rows.synced)
    throw new BrokerError(
      'not_ready',
      `the API server has not given the list of ${rows.waitingFor().join(', ')}: if that lasts, is a CRD missing?`,
    );
  return authenticate(request.headers.authorization, request.ip);
}

/** Throws {@link BrokerError} for a parameter that is given twice. */
function queryText(query: unknown, name: string): string | undefined {
  const value = at(query, name);
  if (value === undefined || typeof value === 'string') return value;
  throw new BrokerError('bad_request', `${name} must be given once`);
}
