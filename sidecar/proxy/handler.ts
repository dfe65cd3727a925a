// One request in, one response out: the proxy as a function over web-standard objects.
import type { ImdsClient } from '../tokens/imds-client.ts';
import type { Metrics } from './metrics.ts';
import { passDocument, passTokenRequest } from './passthrough.ts';
import { errorResponse } from './responses.ts';
import type { Route, RouteSettings, Target, TokenRoute } from './routes.ts';
import { checkRequest, parseTarget } from './routes.ts';
import type { Excepted, TokenRequestOptions, Wait } from './token-request.ts';
import { respondOrWait, waitForResponse } from './token-request.ts';

export interface HandlerOptions extends RouteSettings, TokenRequestOptions {
  imds: ImdsClient;
  metrics: Pick<Metrics, 'countResponse'>;
  nonce: string;
}

export type IncomingRequest = Pick<Request, 'method' | 'url' | 'headers' | 'signal'>;

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
  const count = (route: Route, response: Response) => {
    options.metrics.countResponse(route.kind, response.status);
    return response;
  };
  return (request, keepOpen) => {
    const target = targetOf(request.url);
    // The target of a CONNECT is not a URL.
    if (target === undefined) return errorResponse({ status: 400, message: 'the request target is not a path' }, 'imds');
    const route = checkRequest(target, request, options);
    const response = respond(route, request, keepOpen, options);
    return response instanceof Response ? count(route, response) : response.then((late) => count(route, late));
  };
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
    case 'error':
      return errorResponse(route, route.protocol);
    case 'pass':
      keepOpen();
      return passDocument(options.imds, route, { timeoutMs: options.requestDeadlineMs, signal: request.signal });
    case 'token': {
      const arrival = options.clock.now();
      const first = respondOrWait(route, arrival, options);
      if (first instanceof Response) return first;
      keepOpen();
      return respondLater(first, { route, arrival, request }, options);
    }
  }
}

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
