// GET /v1/identities: the rows of the calling pod. A poll is held while the sidecar already has these rows.
import { hash } from 'node:crypto';
import type { IdentitiesResponse } from '../api/broker.ts';
import type { Clock } from '../common/clock.ts';
import type { Authorize } from './authorize.ts';
import type { BoundPod } from './bound-token.ts';
import { decodeCursor, encodeCursor } from './cursor.ts';
import { BrokerError } from './error.ts';
import type { PodChanges } from './pod-changes.ts';
import type { CacheVersions, PodRows, RowSource } from './rows.ts';

export interface PollRequest {
  pod: BoundPod;
  /** From the query, unparsed. */
  wait: string | undefined;
  asOf: string | undefined;
  ifNoneMatch: string | undefined;
  /** Aborts when the client is gone, or when newer polls need the place. */
  signal: AbortSignal;
  /** Called once the pod is known to take part. */
  onAuthorized(): void;
}

/** `body` is undefined for 304. */
export interface PollResponse {
  etag: string;
  body: IdentitiesResponse | undefined;
}

export interface PollDependencies {
  rows: RowSource;
  authorize: Authorize;
  changes: PodChanges;
  caBundle(): string | undefined;
  /** Nothing is held any more. After a change to true `changes` must notify all. */
  stopping(): boolean;
  clock: Clock;
}

const maxWaitSeconds = 300;
/** A replica that is behind catches up within this time, or another one should answer. */
const catchUpMs = 2_000;

export async function pollIdentities(dependencies: PollDependencies, request: PollRequest): Promise<PollResponse> {
  const { rows, changes, clock } = dependencies;
  const end = clock.now() + parseWait(request.wait) * 1000;
  const versions = request.asOf === undefined ? undefined : decodeCursor(request.asOf, clock.wall());
  if (versions !== undefined) await catchUp(rows, versions, request.signal, clock);

  const podKey = `${request.pod.namespace}/${request.pod.name}`;
  for (let isFirst = true; ; isFirst = false) {
    const response = responseOf(dependencies, request.pod, await dependencies.authorize(request.pod));
    if (isFirst) request.onAuthorized();
    const left = end - clock.now();
    if (!matches(request.ifNoneMatch, response.etag)) return response;
    if (left <= 0 || request.signal.aborted || dependencies.stopping()) return { etag: response.etag, body: undefined };
    await changes.wait(podKey, left, request.signal);
  }
}

function responseOf({ rows, caBundle, clock }: PollDependencies, { namespace, name, uid }: BoundPod, found: PodRows): PollResponse {
  const bundle = caBundle();
  if (bundle === undefined) throw new BrokerError('not_ready', 'the CA bundle is not there yet: try again');
  const content = {
    pod: { name, namespace, uid, ...(found.defaultIdentity === undefined ? {} : { defaultIdentity: found.defaultIdentity }) },
    excepted: found.excepted,
    caBundle: bundle,
    identities: found.identities,
  };
  // Equal on every replica, so that a sidecar can change replicas and still get 304.
  const etag = `"${hash('sha256', JSON.stringify(content), 'base64url').slice(0, 22)}"`;
  return { etag, body: { ...content, asOf: encodeCursor(rows.versions(), clock.wall()) } };
}

async function catchUp(rows: RowSource, versions: CacheVersions, signal: AbortSignal, clock: Clock): Promise<void> {
  const limit = new AbortController();
  const abort = () => limit.abort();
  const cancel = clock.after(catchUpMs, abort);
  signal.addEventListener('abort', abort, { once: true });
  try {
    await rows.whenReached(versions, limit.signal);
  } catch {
    throw new BrokerError('not_ready', 'the caches of this replica are older than your last answer: try again, or another replica');
  } finally {
    cancel();
    signal.removeEventListener('abort', abort);
  }
}

function parseWait(text: string | undefined): number {
  if (text === undefined) return 0;
  const seconds = /^\d{1,4}$/.test(text) ? Number(text) : Number.NaN;
  if (!(seconds <= maxWaitSeconds)) throw new BrokerError('bad_request', `wait must be whole seconds from 0 to ${maxWaitSeconds}`);
  return seconds;
}

/** If-None-Match as in RFC 9110 13.1.2: weak comparison, a list, or `*`. */
function matches(ifNoneMatch: string | undefined, etag: string): boolean {
  const listed = ifNoneMatch?.split(',').map((item) => item.trim().replace(/^W\//, '')) ?? [];
  return listed.includes(etag) || listed.includes('*');
}
