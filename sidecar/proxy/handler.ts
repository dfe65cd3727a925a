// One request in, one answer out: routes, waits and answers of the proxy as a plain function over web-standard objects.
import type { IdentityRow } from '../../api/broker.ts';
import { choose, describeRow } from '../identities/choose.ts';
import type { IdentityStore } from '../identities/store.ts';
import type { Clock, Event } from '../time.ts';
import { pause } from '../time.ts';
import type { Flight, TokenCache } from '../tokens/cache.ts';
import type { Imds } from '../tokens/imds.ts';
import type { TokenQuestion } from '../tokens/source.ts';
import { errorAnswer, tokenAnswer } from './answers.ts';
import { passDocument, passTokenRequest } from './passthrough.ts';
import type { RouteSettings, TokenRoute } from './routes.ts';
import { route } from './routes.ts';
import { troubleAnswer } from './troubles.ts';

export interface HandlerOptions extends RouteSettings {
  store: IdentityStore;
  tokens: TokenCache;
  imds: Imds;
  clock: Clock;
  nonce: string;
  requestDeadlineMs: number;
  unknownIdentityMs: number;
  identityTtlMs: number;
  /** Fires when the proxy ends: held requests are answered at once. */
  closing: Event;
}

export interface Caller {
  /** Aborts when the client leaves. */
  signal: AbortSignal;
  /** Called before the answer is held back, so that the server does not take the connection for idle. */
  hold: () => void;
}

/** Never rejects for anything a request can hold. */
export type Handler = (request: Request, caller: Caller) => Promise<Response>;

export function createHandler(options: HandlerOptions): Handler {
  return async (request, caller) => {
    const url = URL.parse(request.url);
    // The target of a CONNECT is no URL.
    if (url === null) return errorAnswer({ status: 400, text: 'the request target is not a path' }, 'imds');
    const target = route({ method: request.method, url, header: (name) => request.headers.get(name) }, options);
    switch (target.kind) {
      case 'nonce':
        return new Response(options.nonce);
      case 'refusal':
        return errorAnswer(target, target.dialect);
      case 'pass':
        caller.hold();
        return passDocument(options.imds, target, { timeoutMs: options.requestDeadlineMs, signal: caller.signal });
      case 'token':
        return answerToken(target, caller, options);
    }
  };
}

async function answerToken(wanted: TokenRoute, caller: Caller, options: HandlerOptions): Promise<Response> {
  const { store, clock } = options;
  const arrival = clock.now();
  const deadline = arrival + options.requestDeadlineMs;
  let closed = false;
  const wait = async (until: number, events: readonly Event[]) => {
    caller.hold();
    const leave = options.closing.subscribe(() => {
      closed = true;
    });
    await pause(clock, until - clock.now(), { events: [...events, options.closing], signal: caller.signal });
    leave();
  };
  const refuse = (text: string) => errorAnswer({ status: 400, text }, wanted.dialect);

  for (;;) {
    const choice = choose({ store, selector: wanted.selector, now: clock.now(), arrival, unknownIdentityMs: options.unknownIdentityMs });
    const over = closed || caller.signal.aborted || clock.now() >= deadline;
    switch (choice.kind) {
      case 'excepted':
        caller.hold();
        return passTokenRequest(options.imds, wanted, { timeoutMs: deadline - clock.now(), signal: caller.signal });
      case 'refused':
        return refuse(choice.text);
      case 'unbound':
        if (over || clock.now() >= choice.until) return refuse(choice.text);
        await wait(Math.min(deadline, choice.until), [store.changed]);
        break;
      case 'pending':
        if (over) return unavailable(choice.text, wanted);
        await wait(deadline, [store.changed]);
        break;
      case 'row': {
        const step = tokenStep(choice.row, wanted, deadline, options);
        if (step instanceof Response) return step;
        if (over)
          return step.flight?.trouble === undefined
            ? unavailable(step.text, wanted)
            : troubleAnswer(step.flight.trouble, choice.row, wanted.dialect, clock.wall());
        await wait(deadline, step.flight === undefined ? [store.changed] : [store.changed, step.flight.settled]);
        const settled = step.flight === undefined ? undefined : settledAnswer(step.flight, choice.row, wanted, options);
        if (settled !== undefined) return settled;
        break;
      }
    }
  }
}

/** The cached token as an answer, or what to wait for. */
function tokenStep(
  row: IdentityRow,
  wanted: TokenRoute,
  deadline: number,
  options: HandlerOptions,
): Response | { flight?: Flight; text: string } {
  const { store, tokens, clock } = options;
  const confirmed = store.view?.confirmedAt ?? 0;
  const expired = clock.now() - confirmed > options.identityTtlMs;
  const mayFetch = row.state === 'Assigned' && !expired;
  const look = tokens.look(questionOf(row, wanted), { deadline, mayFetch });
  if (look === 'full')
    return errorAnswer({ status: 429, text: 'too many different tokens are being fetched for this pod', retryAfter: 5 }, wanted.dialect);
  if (look === 'not cached') {
    const text = expired
      ? `the identity broker has not confirmed the identities of this pod for too long${store.trouble === undefined ? '' : `: ${store.trouble}`}`
      : `${describeRow(row)} is being assigned${row.reason === undefined ? '' : `: ${row.reason}`}`;
    return { text };
  }
  if ('token' in look) return tokenAnswer(look.token, wanted, row.clientID, clock.wall());
  return { flight: look.flight, text: `no token for ${describeRow(row)} came in time` };
}

/** Undefined while the fetch runs, and when it was dropped: then the choice is made anew. */
function settledAnswer(flight: Flight, row: IdentityRow, wanted: TokenRoute, { tokens, clock }: HandlerOptions): Response | undefined {
  if (flight.result === undefined || flight.result === 'dropped') return undefined;
  if ('token' in flight.result) return tokenAnswer(flight.result.token, wanted, row.clientID, clock.wall());
  const old = tokens.fallback(questionOf(row, wanted));
  return old === undefined
    ? troubleAnswer(flight.result.trouble, row, wanted.dialect, clock.wall())
    : tokenAnswer(old, wanted, row.clientID, clock.wall());
}

function questionOf(row: IdentityRow, wanted: TokenRoute): TokenQuestion {
  return { row, resource: wanted.resource, xmsCc: wanted.xmsCc, bypass: wanted.bypass };
}

const unavailable = (text: string, wanted: TokenRoute) => errorAnswer({ status: 503, text, retryAfter: 10 }, wanted.dialect);
