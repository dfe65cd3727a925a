// A request for a token: answered at once from the cache, or held until its identity is assigned and its token is there (design 5, waiting).
import type { IdentityRow } from '../../api/broker.ts';
import type { Clock } from '../../common/clock.ts';
import { choose } from '../identities/choose.ts';
import type { IdentityStore } from '../identities/store.ts';
import { describeRow, outdatedText, pendingText } from '../identities/texts.ts';
import type { Event } from '../time.ts';
import { pause } from '../time.ts';
import type { Flight, TokenCache } from '../tokens/cache.ts';
import type { TokenQuestion } from '../tokens/source.ts';
import { errorAnswer, tokenAnswer } from './answers.ts';
import type { TokenRoute } from './routes.ts';
import { troubleAnswer } from './troubles.ts';

export interface TokenRequestOptions {
  store: IdentityStore;
  tokens: TokenCache;
  clock: Clock;
  requestDeadlineMs: number;
  unknownIdentityMs: number;
  identityTtlMs: number;
  /** Fires when the proxy ends: held requests are answered at once. */
  closing: Event;
}

/** Not answerable yet. */
export interface Hold {
  /** What may change that. */
  events: readonly Event[];
  /** Clock.now() at which `giveUp` is the answer. */
  until: number;
  giveUp: () => Response;
  /** The fetch that is waited for. */
  flight?: { of: Flight; row: IdentityRow };
}

/** `excepted` hands the request over to IMDS. */
export function answerOrHold(wanted: TokenRoute, arrival: number, options: TokenRequestOptions): Response | Hold | 'excepted' {
  const { store, clock } = options;
  const deadline = arrival + options.requestDeadlineMs;
  const decide = () =>
    choose({ store, selector: wanted.selector, now: clock.now(), arrival, unknownIdentityMs: options.unknownIdentityMs });
  const choice = decide();
  switch (choice.kind) {
    case 'row':
      return answerFor(choice.row, wanted, deadline, options);
    case 'excepted':
      return 'excepted';
    case 'refused':
      return refused(choice.text, wanted);
    case 'unbound':
      if (clock.now() >= choice.until) return refused(choice.text, wanted);
      return { events: [store.changed], until: Math.min(deadline, choice.until), giveUp: () => refused(choice.text, wanted) };
    case 'pending': {
      // What is known when the caller is told, not when it came.
      const giveUp = () => {
        const last = decide();
        return unavailable('text' in last ? last.text : choice.text, wanted);
      };
      return { events: [store.changed], until: deadline, giveUp };
    }
  }
}

/** Ends with the answer at the latest when the client leaves, the proxy ends or the deadline comes. */
export async function waitForAnswer(
  first: Hold,
  wanted: TokenRoute,
  arrival: number,
  signal: AbortSignal,
  options: TokenRequestOptions,
): Promise<Response | 'excepted'> {
  const { clock, closing } = options;
  let closed = false;
  const leave = closing.subscribe(() => {
    closed = true;
  });
  try {
    for (let hold = first; ; ) {
      await pause(clock, hold.until - clock.now(), { events: [...hold.events, closing], signal });
      const settled = hold.flight === undefined ? undefined : settledAnswer(hold.flight.of, hold.flight.row, wanted, options);
      if (settled !== undefined) return settled;
      if (closed || signal.aborted || clock.now() >= hold.until) return hold.giveUp();
      const next = answerOrHold(wanted, arrival, options);
      if (next === 'excepted' || next instanceof Response) return next;
      hold = next;
    }
  } finally {
    leave();
  }
}

function answerFor(
  row: IdentityRow,
  wanted: TokenRoute,
  deadline: number,
  { store, tokens, clock, identityTtlMs }: TokenRequestOptions,
): Response | Hold {
  const unconfirmedMs = () => clock.now() - (store.view?.confirmedAt ?? 0);
  const outdated = unconfirmedMs() > identityTtlMs;
  const question = questionOf(row, wanted);
  const look = tokens.look(question, { deadline, mayFetch: row.state === 'Assigned' && !outdated });
  if (look === 'full')
    return errorAnswer(
      { status: 429, text: 'too many different tokens are being fetched for this pod at once', retryAfter: 5 },
      wanted.dialect,
    );
  if (look === 'not cached') {
    const why = () => (outdated ? outdatedText(unconfirmedMs(), store.trouble) : pendingText(row, store));
    return { events: [store.changed], until: deadline, giveUp: () => unavailable(why(), wanted) };
  }
  if ('token' in look) return tokenAnswer(look.token, wanted, row.clientID, clock.wall());
  const { flight } = look;
  const giveUp = () => {
    const old = tokens.fallback(question);
    if (old !== undefined) return tokenAnswer(old, wanted, row.clientID, clock.wall());
    if (flight.trouble !== undefined) return troubleAnswer(flight.trouble, row, wanted.dialect, clock.wall());
    return unavailable(`no token for ${describeRow(row)} came in time`, wanted);
  };
  return { events: [store.changed, flight.settled], until: deadline, giveUp, flight: { of: flight, row } };
}

/** Undefined while the fetch runs, and when it was dropped: then the choice is made anew. */
function settledAnswer(flight: Flight, row: IdentityRow, wanted: TokenRoute, { tokens, clock }: TokenRequestOptions): Response | undefined {
  if (flight.result === undefined || flight.result === 'dropped') return undefined;
  const token = 'token' in flight.result ? flight.result.token : tokens.fallback(questionOf(row, wanted));
  if (token !== undefined) return tokenAnswer(token, wanted, row.clientID, clock.wall());
  return 'trouble' in flight.result ? troubleAnswer(flight.result.trouble, row, wanted.dialect, clock.wall()) : undefined;
}

function questionOf(row: IdentityRow, wanted: TokenRoute): TokenQuestion {
  return { row, resource: wanted.resource, xmsCc: wanted.xmsCc, bypass: wanted.bypass };
}

const refused = (text: string, wanted: TokenRoute) => errorAnswer({ status: 400, text }, wanted.dialect);
const unavailable = (text: string, wanted: TokenRoute) => errorAnswer({ status: 503, text, retryAfter: 10 }, wanted.dialect);
