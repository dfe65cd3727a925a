// A request for a token. It is answered at once from the cache, or waits until its identity is assigned and its token is fetched.
import type { IdentityRow } from '../../api/broker.ts';
import type { Clock } from '../../common/clock.ts';
import { choose } from '../identities/choose.ts';
import { outdatedMessage, pendingMessage } from '../identities/messages.ts';
import { describeRow } from '../identities/row.ts';
import type { IdentityStore } from '../identities/store.ts';
import type { Notifier } from '../notifier.ts';
import { nextNotification } from '../notifier.ts';
import type { TokenCache, TokenFetch } from '../tokens/cache.ts';
import type { TokenQuery } from '../tokens/source.ts';
import type { Token } from '../tokens/token.ts';
import { errorResponse, tokenResponse } from './responses.ts';
import type { TokenRoute } from './routes.ts';
import { tokenErrorResponse } from './token-error-response.ts';

export interface TokenRequestOptions {
  store: IdentityStore;
  tokens: TokenCache;
  clock: Clock;
  requestDeadlineMs: number;
  unknownIdentityMs: number;
  identityTtlMs: number;
  /** Notifies when the proxy stops: waiting requests are answered at once. */
  stopping: Notifier;
}

/** There is no response yet. */
export interface Wait {
  /** What may lead to one. */
  notifiers: readonly Notifier[];
  /** Clock.now() at which the wait is over. */
  until: number;
  /** The response when the wait is over without another one. */
  timeoutResponse: () => Response;
  /** The fetch that is waited for. */
  pending?: { fetch: TokenFetch; row: IdentityRow };
}

/** The pod matches an AzurePodIdentityException: IMDS serves the request. */
export type Excepted = 'excepted';

/** `arrival` is Clock.now() at which the request came. */
export function respondOrWait(route: TokenRoute, arrival: number, options: TokenRequestOptions): Response | Wait | Excepted {
  const { store, clock } = options;
  const deadline = arrival + options.requestDeadlineMs;
  const chooseNow = () =>
    choose({ store, selector: route.selector, now: clock.now(), arrival, unknownIdentityMs: options.unknownIdentityMs });
  const choice = chooseNow();
  switch (choice.kind) {
    case 'row':
      return respondForRow(choice.row, route, deadline, options);
    case 'excepted':
      return 'excepted';
    case 'refused':
      return notFound(choice.message, route);
    case 'unbound': {
      const timeoutResponse = () => notFound(choice.message, route);
      if (clock.now() >= choice.until) return timeoutResponse();
      return { notifiers: [store.changed], until: Math.min(deadline, choice.until), timeoutResponse };
    }
    case 'pending': {
      // The message says what is known at the end of the wait, not at its start.
      const timeoutResponse = () => {
        const last = chooseNow();
        return unavailable('message' in last ? last.message : choice.message, route);
      };
      return { notifiers: [store.changed], until: deadline, timeoutResponse };
    }
  }
}

/** Responds at the latest when the caller leaves, the proxy stops or the deadline comes. */
export async function waitForResponse(
  first: Wait,
  { route, arrival, signal }: { route: TokenRoute; arrival: number; signal: AbortSignal },
  options: TokenRequestOptions,
): Promise<Response | Excepted> {
  const { clock, stopping } = options;
  let stopped = false;
  const unsubscribe = stopping.subscribe(() => {
    stopped = true;
  });
  try {
    for (let wait = first; ; ) {
      await nextNotification([...wait.notifiers, stopping], { clock, ms: wait.until - clock.now(), signal });
      const response = wait.pending === undefined ? undefined : fetchedResponse(wait.pending.fetch, wait.pending.row, route, options);
      if (response !== undefined) return response;
      if (stopped || signal.aborted || clock.now() >= wait.until) return wait.timeoutResponse();
      const next = respondOrWait(route, arrival, options);
      if (next === 'excepted' || next instanceof Response) return next;
      wait = next;
    }
  } finally {
    unsubscribe();
  }
}

function respondForRow(row: IdentityRow, route: TokenRoute, deadline: number, options: TokenRequestOptions): Response | Wait {
  const { store, tokens, clock, identityTtlMs } = options;
  const unconfirmedMs = () => clock.now() - (store.view?.confirmedAt ?? 0);
  const outdated = unconfirmedMs() > identityTtlMs;
  const found = tokens.lookup(queryOf(row, route), { deadline, mayFetch: row.state === 'Assigned' && !outdated });
  if (found === 'full') return tooManyTokens(route);
  if (found === 'not cached') {
    const message = () =>
      outdated ? outdatedMessage(unconfirmedMs(), store.contactError) : pendingMessage(row, store.view, store.contactError);
    return { notifiers: [store.changed], until: deadline, timeoutResponse: () => unavailable(message(), route) };
  }
  if ('token' in found) return granted(found.token, row, route, options);
  const { fetch } = found;
  return {
    notifiers: [store.changed, fetch.settled],
    until: deadline,
    timeoutResponse: () => unfetchedResponse(fetch, row, route, options),
    pending: { fetch, row },
  };
}

/** Undefined while the fetch runs, and after it was dropped: then the identity is chosen again. */
function fetchedResponse(fetch: TokenFetch, row: IdentityRow, route: TokenRoute, options: TokenRequestOptions): Response | undefined {
  const { result } = fetch;
  if (result === undefined || result === 'dropped') return undefined;
  if ('token' in result) return granted(result.token, row, route, options);
  const old = options.tokens.fallback(queryOf(row, route));
  return old === undefined
    ? tokenErrorResponse(result.error, row, route.protocol, options.clock.wall())
    : granted(old, row, route, options);
}

/** The response at the deadline of a fetch that still runs. */
function unfetchedResponse(fetch: TokenFetch, row: IdentityRow, route: TokenRoute, options: TokenRequestOptions): Response {
  const old = options.tokens.fallback(queryOf(row, route));
  if (old !== undefined) return granted(old, row, route, options);
  if (fetch.lastError !== undefined) return tokenErrorResponse(fetch.lastError, row, route.protocol, options.clock.wall());
  return unavailable(`no token for ${describeRow(row)} came in time`, route);
}

function queryOf(row: IdentityRow, { resource, xmsCc, bypass }: TokenRoute): TokenQuery {
  return { row, resource, xmsCc, bypass };
}

const granted = (token: Token, row: IdentityRow, route: TokenRoute, { clock }: TokenRequestOptions) =>
  tokenResponse(token, route, row.clientID, clock.wall());
const notFound = (message: string, { protocol }: TokenRoute) => errorResponse({ status: 400, message }, protocol);
const unavailable = (message: string, { protocol }: TokenRoute) => errorResponse({ status: 503, message, retryAfter: 10 }, protocol);
const tooManyTokens = ({ protocol }: TokenRoute) =>
  errorResponse({ status: 429, message: 'too many different tokens are being fetched for this pod at once', retryAfter: 5 }, protocol);
