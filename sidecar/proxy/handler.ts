// One request in, one response out: the proxy as a function over web-standard objects.

import type { SidecarStatus } from '../../api/sidecar-status.ts';
import type { Counts } from '../broker/counts.ts';
import type { ImdsClient } from '../tokens/imds-client.ts';
import type { Metrics } from './metrics.ts';
import { passDocument, passTokenRequest } from './passthrough.ts';
import { readBody } from './request-bodies.ts';
import { errorResponse, statusResponse } from './responses.ts';
import type { PostRoute, Route, RouteSettings, Target, TokenRoute } from './routes.ts';
import { checkRequest, hostMessage, parseTarget } from './routes.ts';
import type { Excepted, TokenRequestOptions, Wait } from './token-request.ts';
import { respondOrWait, waitForResponse } from './token-request.ts';

export interface HandlerOptions extends RouteSettings, TokenRequestOptions {
  imds: ImdsClient;
  metrics: Pick<Metrics, 'countResponse'>;
  counts: Pick<Counts, 'countTokenResponse'>;
  nonce: string;
  status: () => SidecarStatus;
  /** Whether this pod may approve scheduled events of its node. A pod that is excepted at this moment may in any case. */
  allowEventApproval: boolean;
}

export type IncomingRequest = Pick<Request, 'method' | 'url' | 'headers' | 'signal' | 'text'>;

/**
 * Never fails, whatever a request holds. A cached token comes without a promise. `keepOpen` is called before a response that takes longer,
 * so that the server does not close the connection as idle.
 */
export type Handler = (request: IncomingRequest, keepOpen: () => void) => Response | Promise<Response>;

/** Applications repeat few URLs. */
const maxTargets = 32;
const maxTargetLength = 1024;

export function createHandler(options: HandlerOptions): Handler {
  const targetOf = createTargetCache(options);
  const { clock, metrics, counts } = options;
  const count = ({ kind }: Route, response: Response, ms: number) => {
    metrics.countResponse(kind, response.status);
    if (kind === 'token') counts.countTokenResponse(response.status, ms);
    return response;
  };
  return (request, keepOpen) => {
    const target = targetOf(request.url);
    if (target === undefined) return errorResponse({ status: 400, message: noUrlMessage(request) }, 'imds');
    const route = checkRequest(target, request, options);
    const response = respond(route, request, keepOpen, options);
    if (response instanceof Response) return count(route, response, 0);
    const began = clock.now();
    return response.then((late) => count(route, late, clock.now() - began));
  };
}

/** The URL is a path where there is no usable Host (docs/reference/bun.md). The target of a CONNECT is neither. */
function noUrlMessage({ url, headers }: IncomingRequest): string {
  return url.startsWith('/') ? hostMessage(headers.get('host') ?? '') : 'the request target is not a path';
}

function createTargetCache(settings: RouteSettings): (href: string) => Target | undefined {
  const targets = new Map<string, Target>();
  return (href) => {
    const known = targets.get(href);
    if (known !== undefined) return known;
    const url = URL.parse(href);
    if (url === null) return undefined;
    const target = parseTarget(url, settings);
    if (href.length <= maxTargetLength) {
      if (targets.size >= maxTargets) for (const oldest of targets.keys()) if (targets.delete(oldest)) break;
      targets.set(href, target);
    }
    return target;
  };
}

function respond(route: Route, request: IncomingRequest, keepOpen: () => void, options: HandlerOptions): Response | Promise<Response> {
  switch (route.kind) {
    case 'nonce':
      return new Response(options.nonce);
    case 'status':
      return statusResponse(options.status());
    case 'error':
      return errorResponse(route, route.protocol);
    case 'pass':
      keepOpen();
      return passDocument(options.imds, route, { timeoutMs: options.requestDeadlineMs, signal: request.signal });
    case 'post':
      return post(route, request, keepOpen, options);
    case 'token': {
      const arrival = options.clock.now();
      const first = respondOrWait(route, arrival, options);
      if (first instanceof Response) return first;
      keepOpen();
      return respondLater(first, { route, arrival, request }, options);
    }
  }
}

async function post(route: PostRoute, request: IncomingRequest, keepOpen: () => void, options: HandlerOptions): Promise<Response> {
  const { imds, store, allowEventApproval, requestDeadlineMs: timeoutMs } = options;
  if (route.body === 'event approval' && !allowEventApproval && store.view?.excepted !== true)
    return errorResponse({ status: 403, message: approvalRefused }, 'imds');
  const sent = readBody(route.body, await request.text().catch(() => ''));
  if ('message' in sent) return errorResponse({ status: 400, message: sent.message }, 'imds');
  keepOpen();
  return passDocument(imds, route, { timeoutMs, signal: request.signal }, sent.body);
}

/** An approved event starts at once for the whole node. */
const approvalRefused =
  'Request blocked by the identity proxy of this pod: it may not approve events of its node. The chart value sidecar.scheduledEventsNamespaces lists the namespaces whose pods may; it counts for pods that are made after it is set';

async function respondLater(
  first: Wait | Excepted,
  { route, arrival, request }: { route: TokenRoute; arrival: number; request: IncomingRequest },
  options: HandlerOptions,
): Promise<Response> {
  // Read only here: the server makes the signal on first use, which costs more than a cached token.
  const { signal } = request;
  const last = first === 'excepted' ? first : await waitForResponse(first, { route, arrival, signal }, options);
  if (last !== 'excepted') return last;
  return passTokenRequest(options.imds, route, { timeoutMs: arrival + options.requestDeadlineMs - options.clock.now(), signal });
}
