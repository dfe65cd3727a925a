// GET /v1/identities: the rows of the asking pod, held back while they are what the sidecar already has.
import { hash } from 'node:crypto';
import type { IdentitiesAnswer } from '../api/broker.ts';
import type { BoundPod } from './bound-token.ts';
import { decodeCursor, encodeCursor } from './cursor.ts';
import type { Participation } from './participation.ts';
import { Refusal } from './refusal.ts';
import type { BrokerView, PodView } from './view.ts';
import type { Waiters } from './waiters.ts';

export interface PollRequest {
  pod: BoundPod;
  /** From the query, not parsed yet. */
  wait: string | undefined;
  asOf: string | undefined;
  /** If-None-Match. */
  known: string | undefined;
  /** Aborts when nobody waits for the answer any more, or when the broker stops. */
  signal: AbortSignal;
}

/** `body` is undefined for 304. */
export interface PollAnswer {
  etag: string;
  body: IdentitiesAnswer | undefined;
}

export interface PollContext {
  view: BrokerView;
  participation: Participation;
  waiters: Waiters;
  caBundle(): string | undefined;
  now: () => number;
}

const maxWaitSeconds = 300;
/** A replica that lags catches up at once or should let another one answer. */
const catchUpMs = 2_000;

export async function pollIdentities(context: PollContext, request: PollRequest): Promise<PollAnswer> {
  const { view, waiters, now } = context;
  const end = now() + parseWait(request.wait) * 1000;
  const seen = request.asOf === undefined ? undefined : decodeCursor(request.asOf, now());
  if (seen !== undefined) await catchUp(view, seen, request.signal);

  const podKey = `${request.pod.namespace}/${request.pod.name}`;
  for (;;) {
    const answer = answerOf(context, request.pod, await context.participation.viewOf(request.pod));
    const left = end - now();
    if (!matches(request.known, answer.etag)) return answer;
    if (left <= 0 || request.signal.aborted) return { etag: answer.etag, body: undefined };
    await waiters.wait(podKey, left, request.signal);
  }
}

function answerOf(context: PollContext, { namespace, name, uid }: BoundPod, rows: PodView): { etag: string; body: IdentitiesAnswer } {
  const caBundle = context.caBundle();
  if (caBundle === undefined) throw new Refusal('not_ready', 'the CA bundle is not there yet: try again');
  const content = {
    pod: { name, namespace, uid, ...(rows.defaultIdentity === undefined ? {} : { defaultIdentity: rows.defaultIdentity }) },
    excepted: rows.excepted,
    caBundle,
    identities: rows.identities,
  };
  // Every replica must come to the same text, so that a sidecar may change replicas without an answer.
  const etag = `"${hash('sha256', JSON.stringify(content), 'base64url').slice(0, 22)}"`;
  return { etag, body: { ...content, asOf: encodeCursor(context.view.seen(), context.now()) } };
}

async function catchUp(view: BrokerView, seen: Readonly<Record<string, string>>, signal: AbortSignal): Promise<void> {
  const limit = new AbortController();
  const abort = () => limit.abort();
  const timer = setTimeout(abort, catchUpMs);
  signal.addEventListener('abort', abort, { once: true });
  try {
    await view.whenSeen(seen, limit.signal);
  } catch {
    throw new Refusal('not_ready', 'this replica has not yet seen what the last answer was made from: try again or another one');
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', abort);
  }
}

function parseWait(text: string | undefined): number {
  if (text === undefined) return 0;
  const seconds = /^\d{1,4}$/.test(text) ? Number(text) : Number.NaN;
  if (!(seconds <= maxWaitSeconds)) throw new Refusal('bad_request', `wait must be whole seconds from 0 to ${maxWaitSeconds}`);
  return seconds;
}

/** RFC 9110 13.1.2: weak comparison, a list, or `*`. */
function matches(known: string | undefined, etag: string): boolean {
  const listed = known?.split(',').map((item) => item.trim().replace(/^W\//, '')) ?? [];
  return listed.includes(etag) || listed.includes('*');
}
