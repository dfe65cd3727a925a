// One request in, one answer out: the proxy as a plain function over web-standard objects.
import type { Imds } from '../tokens/imds.ts';
import { errorAnswer } from './answers.ts';
import type { Metrics } from './metrics.ts';
import { passDocument, passTokenRequest } from './passthrough.ts';
import type { Plan, Route, RouteSettings, TokenRoute } from './routes.ts';
import { admit, plan } from './routes.ts';
import type { Hold, TokenRequestOptions } from './token-request.ts';
import { answerOrHold, waitForAnswer } from './token-request.ts';

export interface HandlerOptions extends RouteSettings, TokenRequestOptions {
  imds: Imds;
  metrics: Pick<Metrics, 'answered'>;
  nonce: string;
}

export type Asking = Pick<Request, 'method' | 'url' | 'headers' | 'signal'>;

/**
 * Never fails for anything a request can hold. A cached answer comes without a promise; `hold` is called before an answer is held back, so
 * that the server does not take the connection for idle.
 */
export type Handler = (request: Asking, hold: () => void) => Response | Promise<Response>;

/** Applications repeat few URLs. */
const rememberedPlans = 32;
const rememberedLength = 1024;

export function createHandler(options: HandlerOptions): Handler {
  const plans = new Map<string, Plan>();

  const planOf = (href: string): Plan | undefined => {
    const known = plans.get(href);
    if (known !== undefined) return known;
    const url = URL.parse(href);
    if (url === null) return undefined;
    const made = plan(url, options);
    if (href.length <= rememberedLength) {
      if (plans.size >= rememberedPlans) for (const oldest of plans.keys()) if (plans.delete(oldest)) break;
      plans.set(href, made);
    }
    return made;
  };

  const counted = (route: Route, response: Response) => {
    options.metrics.answered(route.kind, response.status);
    return response;
  };

  return (request, hold) => {
    const planned = planOf(request.url);
    // The target of a CONNECT is no URL.
    if (planned === undefined) return errorAnswer({ status: 400, text: 'the request target is not a path' }, 'imds');
    const route = admit(planned, request, options);
    const answered = answer(route, request, hold, options);
    if (!(answered instanceof Response)) return answered.then((late) => counted(route, late));
    return counted(route, answered);
  };
}

function answer(route: Route, request: Asking, hold: () => void, options: HandlerOptions): Response | Promise<Response> {
  switch (route.kind) {
    case 'nonce':
      return new Response(options.nonce);
    case 'refusal':
      return errorAnswer(route, route.dialect);
    case 'pass':
      hold();
      return passDocument(options.imds, route, { timeoutMs: options.requestDeadlineMs, signal: request.signal });
    case 'token': {
      const arrival = options.clock.now();
      const first = answerOrHold(route, arrival, options);
      if (first instanceof Response) return first;
      hold();
      return answerLater(first, route, arrival, request, options);
    }
  }
}

async function answerLater(
  first: Hold | 'excepted',
  wanted: TokenRoute,
  arrival: number,
  request: Asking,
  options: HandlerOptions,
): Promise<Response> {
  // Read only here: making the signal costs more than a cached answer.
  const { signal } = request;
  const last = first === 'excepted' ? first : await waitForAnswer(first, wanted, arrival, signal, options);
  if (last !== 'excepted') return last;
  return passTokenRequest(options.imds, wanted, { timeoutMs: arrival + options.requestDeadlineMs - options.clock.now(), signal });
}
