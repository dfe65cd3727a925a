// The node endpoint as a function over web-standard objects: for a process of the node, the token of a pod whose containers need not run yet
// (docs/adr/0032-node-endpoint.md).
import type { IdentityRow } from '../../api/broker.ts';
import { rowKey } from '../../api/identity-choice.ts';
import { version } from '../../api/version.ts';
import type { Clock } from '../../common/clock.ts';
import type { BrokerClient } from '../broker/client.ts';
import { createBrokerClient } from '../broker/client.ts';
import { Counts } from '../broker/counts.ts';
import type { Fetch } from '../http.ts';
import { describeRow } from '../identities/row.ts';
import type { Log } from '../log.ts';
import { createNotifier, nextNotification } from '../notifier.ts';
import type { HostSettings } from '../settings.ts';
import { isPem } from '../settings.ts';
import { TokenCache } from '../tokens/cache.ts';
import { createImdsClient } from '../tokens/imds-client.ts';
import { createImdsGate } from '../tokens/imds-gate.ts';
import { createImdsSource } from '../tokens/imds-source.ts';
import type { TokenError } from '../tokens/source.ts';
import type { Token } from '../tokens/token.ts';
import type { HostIdentity } from './broker.ts';
import { askBroker } from './broker.ts';
import type { HostTokenRoute } from './request.ts';
import { parseHostRequest } from './request.ts';
import { hostTokenResponse, textResponse } from './responses.ts';

export interface EndpointDependencies {
  fetch: Fetch;
  clock: Clock;
  random: () => number;
  log: Log;
  /** Called for each request to the broker: kubelet renews the file. */
  readCa: () => Promise<string>;
  /** The same. */
  readToken: () => Promise<string>;
}

export interface HostRequest extends Pick<Request, 'url' | 'headers' | 'signal'> {
  /** Address of the caller. */
  from: string | undefined;
}

export interface Endpoint {
  /** Never fails. `keepOpen` is called for a request that may take long. */
  handle(request: HostRequest, keepOpen: () => void): Promise<Response>;
  /** Answers the requests that wait. */
  close(): void;
}

/** Of callers that wait. Kubelet mounts the volumes of all pods of a node at once, and a driver asks for each of a pod's volumes. */
const maxRequests = 250;
/** For one pod, so that one whose identity does not come, and whose mounts are tried again and again, leaves room for the others. */
const maxRequestsOfPod = 20;
const retryAfterSeconds = 5;

interface Context {
  settings: HostSettings;
  broker: BrokerClient;
  counts: Counts;
  tokens: TokenCache;
  clock: Clock;
  random: () => number;
  log: Log;
}

/** `deadline`: Clock.now(). The signal aborts with the caller, and when the endpoint stops. */
interface Until {
  deadline: number;
  signal: AbortSignal;
}

export function createEndpoint(settings: HostSettings, dependencies: EndpointDependencies): Endpoint {
  const context = createContext(settings, dependencies);
  const { clock, log } = dependencies;
  const stopping = createNotifier();
  let stopped = false;
  let requests = 0;
  const requestsOfPods = new Map<string, number>();

  function enter(pod: string): () => void {
    requests += 1;
    requestsOfPods.set(pod, (requestsOfPods.get(pod) ?? 0) + 1);
    return () => {
      requests -= 1;
      const left = (requestsOfPods.get(pod) ?? 0) - 1;
      if (left > 0) requestsOfPods.set(pod, left);
      else requestsOfPods.delete(pod);
    };
  }

  async function answer(route: HostTokenRoute, caller: AbortSignal): Promise<Response> {
    const deadline = clock.now() + settings.requestDeadlineMs;
    const controller = new AbortController();
    const abort = () => controller.abort();
    if (stopped || caller.aborted) abort();
    const unsubscribe = stopping.subscribe(abort);
    caller.addEventListener('abort', abort, { once: true });
    const leave = enter(podOf(route));
    try {
      return await respond(context, route, { deadline, signal: controller.signal });
    } finally {
      leave();
      unsubscribe();
      caller.removeEventListener('abort', abort);
    }
  }

  return {
    async handle({ url, headers, signal, from }, keepOpen) {
      const target = URL.parse(url);
      const route = target === null ? undefined : parseHostRequest(target, headers, from);
      if (route === undefined) return textResponse(400, 'the request target is not a path');
      if (route.kind === 'health') return new Response('ok\n');
      if (route.kind === 'error') return textResponse(route.status, route.message);
      if (requests >= maxRequests) return textResponse(503, 'too many requests wait on this node', retryAfterSeconds);
      if ((requestsOfPods.get(podOf(route)) ?? 0) >= maxRequestsOfPod)
        return textResponse(503, `too many requests wait for pod ${podOf(route)}`, retryAfterSeconds);
      keepOpen();
      const began = clock.now();
      const response = await answer(route, signal);
      const { status } = response;
      context.counts.countTokenResponse(status, clock.now() - began);
      if (status !== 200) log.warn('no token served', { pod: podOf(route), resource: route.resource, status });
      return response;
    },
    close() {
      stopped = true;
      stopping.notify();
    },
  };
}

const podOf = ({ namespace, pod }: HostTokenRoute): string => `${namespace}/${pod}`;

function createContext(settings: HostSettings, { fetch, clock, random, log, readCa, readToken }: EndpointDependencies): Context {
  const userAgent = `aad-pod-identity-node/${version}`;
  const { url, address } = settings.broker;
  const readCredentials = async (): Promise<string> => {
    const pem = await readCa();
    // A file that is being replaced is no reason to trust nobody.
    if (isPem(pem)) broker.trust(pem);
    return readToken();
  };
  const counts = new Counts();
  const onUnreached = () => counts.add('broker_failures');
  const broker = createBrokerClient({ fetch, clock, url, address, ca: '', userAgent, readToken: readCredentials, onUnreached });
  const imds = createImdsClient({ fetch, clock, gate: createImdsGate(clock), url: settings.imdsUrl, userAgent });
  const source = createImdsSource({ imds, clock, brokerAnswers: () => true });
  const tokens = new TokenCache({ sourceOf: () => source, clock, random, onResult: () => undefined });
  return { settings, broker, counts, tokens, clock, random, log };
}

async function respond(context: Context, route: HostTokenRoute, until: Until): Promise<Response> {
  const { namespace, pod, resource, selector } = route;
  const asked = { namespace, pod, resource, ...(selector === undefined ? {} : { selector }) };
  const found = await askBroker(context, asked, until);
  if ('failed' in found) return refusal(found);
  const { identity, token } = found;
  if (token !== undefined) return served(context, route, identity, token);
  if (identity.source === 'imds') return respondFromImds(context, route, identity, until);
  return refusal({ failed: 'token', message: `the identity broker sent no token for ${describeRow(identity)}` });
}

async function respondFromImds(context: Context, route: HostTokenRoute, row: IdentityRow, { deadline, signal }: Until): Promise<Response> {
  const { tokens, clock } = context;
  const query = { row, resource: route.resource, xmsCc: undefined, bypass: false };
  const found = tokens.lookup(query, { deadline, mayFetch: true });
  if (found === 'full' || found === 'not cached')
    return textResponse(503, 'too many tokens are being fetched on this node', retryAfterSeconds);
  if ('token' in found) return served(context, route, row, found.token);
  const { fetch } = found;
  while (fetch.result === undefined && !signal.aborted && clock.now() < deadline)
    await nextNotification([fetch.settled], { clock, ms: deadline - clock.now(), signal });
  const { result } = fetch;
  if (result === undefined || result === 'dropped') return tokenRefusal(fetch.lastError, row);
  return 'token' in result ? served(context, route, row, result.token) : tokenRefusal(result.error, row);
}

function served({ clock, log }: Context, route: HostTokenRoute, row: IdentityRow, token: Token): Response {
  const { resource } = route;
  log.info('token served', { pod: podOf(route), identity: rowKey(row), resource });
  return hostTokenResponse(token, { resource, clientId: row.clientID, wallMs: clock.wall() });
}

function refusal({ failed, message }: Extract<HostIdentity, { failed: unknown }>): Response {
  switch (failed) {
    case 'identity':
      return textResponse(404, message);
    case 'request':
      return textResponse(400, message);
    case 'token':
      return textResponse(403, message);
    case 'unavailable':
      return textResponse(503, message, retryAfterSeconds);
  }
}

/** As NMI: 403 where IMDS has answered, 503 where it has not. */
function tokenRefusal(error: TokenError | undefined, row: IdentityRow): Response {
  if (error === undefined) return textResponse(503, `no token for ${describeRow(row)} came in time`, retryAfterSeconds);
  const message = `no token for ${describeRow(row)} from IMDS: ${error.message}`;
  return error.code === 'network' ? textResponse(503, message, retryAfterSeconds) : textResponse(403, message);
}
