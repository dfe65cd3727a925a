// The two things done to a scale set or VM: read its identities, change them. No call passes a closed throttle gate.

import { untilAborted } from '../../../lib/azure/abort.ts';
import type { Scope } from '../../../lib/azure/resource-ids.ts';
import { isRecord, stringAt } from '../../../lib/kube/objects.ts';
import type { Send } from './client.ts';
import type { Answer, RequestIds } from './errors.ts';
import { ArmError, errorOf, requestIdsOf } from './errors.ts';
import type { CallKind, Gates } from './gates.ts';
import type { AttachedIdentity, ObservedIdentity, Write } from './identity-map.ts';
import { identityKindOf, wireIdentity } from './identity-map.ts';
import type { Progress } from './operation.ts';
import {
  isResource,
  nextPollMs,
  operationTimedOut,
  operationUrlOf,
  progressOf,
  provisioningStateOf,
  trustedOperationUrl,
} from './operation.ts';
import type { WriteContext } from './subject.ts';

export interface ScopeSnapshot extends ObservedIdentity {
  readonly etag: string | undefined;
  readonly provisioningState: string;
  readonly location: string;
  /** AKS keeps pods of these nodes away from IMDS, unless they are of the host network (docs/reference/imds.md). */
  readonly imdsRestricted: boolean;
  /** When the GET was sent, on the clock of the options: the state may be as old as that. */
  readonly readAt: number;
}

export interface FollowOptions {
  readonly signal?: AbortSignal | undefined;
  /** Azure refuses questions about the operation for so many milliseconds. The operation goes on regardless. Awaited. */
  readonly onThrottled?: (waitMs: number) => void | Promise<void>;
}

export interface WriteOptions extends FollowOptions {
  /** Called, and awaited, with the URL by which {@link Compute.resume} finds the operation again. */
  readonly onOperation?: (url: string) => void | Promise<void>;
}

/** Every function throws {@link ArmError}, or the reason of the signal. A closed gate is `throttled` with source `gate`, without a call. */
export interface Compute {
  read(scope: Scope, signal?: AbortSignal): Promise<ScopeSnapshot>;
  /**
   * One PATCH against the state that was seen, done when its operation has succeeded. Without an etag, and when `seen` is older than 2 s, it
   * reads anew first. Nothing is sent when the state is already so. Returns what was sent: the rest somebody else had done by then.
   */
  write(scope: Scope, write: Write, seen: ScopeSnapshot, options?: WriteOptions): Promise<Write>;
  /** Waits for an operation that an earlier process began. */
  resume(scope: Scope, operationUrl: string, options?: FollowOptions): Promise<void>;
}

export interface ComputeOptions {
  send: Send;
  gates: Gates;
  /** Origin that operations may be followed at. */
  resourceManager: string;
  pollMs: number;
  /** How long an operation is followed. */
  budgetMs: number;
  /** Milliseconds since the epoch. */
  now(): number;
  sleep(ms: number, signal: AbortSignal | undefined): Promise<void>;
}

/** An operation that is followed to its end. */
interface Followed extends FollowOptions {
  /** The answer that began it; undefined: an earlier process got that. */
  readonly first: Answer | undefined;
  readonly write: WriteContext | undefined;
}

/** Without an etag another write goes unnoticed, so the state must be younger than this. */
const freshMs = 2000;

const imdsRestrictionTag = 'aks-managed-enable-imds-restriction';

export function createCompute(options: ComputeOptions): Compute {
  const { send, gates, now } = options;
  const date = () => new Date(now());

  async function call(scope: Scope, kind: CallKind, request: Parameters<Send>[0]): Promise<Answer> {
    const waitMs = gates.waitMs(scope, kind);
    if (waitMs > 0) {
      const retryAfterSeconds = Math.ceil(waitMs / 1000);
      throw new ArmError(
        { code: 'throttled', of: 'scope', source: 'gate', retryAfterSeconds },
        `not asked: Azure has refused calls for another ${retryAfterSeconds} s`,
      );
    }
    const answer = await send(request);
    if (answer.status >= 400) closeGateIfThrottled(scope, kind, errorOf(answer, date()));
    return answer;
  }

  function closeGateIfThrottled(scope: Scope, kind: CallKind, error: ArmError): void {
    if (error.failure.code === 'throttled') gates.close(scope, kind, error.failure);
  }

  async function read(scope: Scope, signal?: AbortSignal): Promise<ScopeSnapshot> {
    const askedAt = now();
    const answer = await call(scope, 'read', { method: 'GET', url: scope.displayId, signal });
    if (answer.status >= 400) throw errorOf(answer, date());
    return stateOf(answer, askedAt);
  }

  async function follow(scope: Scope, url: string, { first, write, signal, onThrottled }: Followed): Promise<void> {
    const ofResource = isResource(url, scope);
    const kind = ofResource ? 'read' : 'poll';
    const started = now();
    const accepted = first === undefined ? undefined : { ...first, body: undefined, status: 202 };
    const initial = accepted === undefined ? undefined : progressOf(accepted, { ofResource: false, now: date(), write });
    let retryAfterMs = initial?.state === 'running' ? initial.retryAfterMs : undefined;
    let last: ArmError | undefined;
    let ids = first === undefined ? {} : requestIdsOf(first.headers);
    // An operation that an earlier process began may have ended long ago: poll at once.
    let waitMs = first === undefined ? gates.waitMs(scope, kind) : nextPollMs(options, 0, ofResource, retryAfterMs);
    while (now() - started + waitMs <= options.budgetMs) {
      await untilAborted(options.sleep(waitMs, signal), signal);
      const progress = await poll(scope, { kind, url, write, signal });
      ids = { ...ids, ...progress.ids };
      if (progress.state === 'succeeded') return;
      if (progress.state === 'failed') {
        closeGateIfThrottled(scope, 'write', progress.error);
        throw progress.error;
      }
      last = progress.state === 'unclear' ? progress.error : undefined;
      retryAfterMs = progress.state === 'running' ? progress.retryAfterMs : undefined;
      waitMs = Math.max(nextPollMs(options, now() - started, ofResource, retryAfterMs), gates.waitMs(scope, kind));
      if (last?.failure.code === 'throttled') await onThrottled?.(waitMs);
    }
    throw operationTimedOut(options.budgetMs, last, ids);
  }

  /** Polls an operation once. A failed poll says nothing of the operation, which goes on regardless. */
  async function poll(
    scope: Scope,
    { kind, url, write, signal }: Pick<Followed, 'write' | 'signal'> & { kind: 'read' | 'poll'; url: string },
  ): Promise<Progress & { ids: RequestIds }> {
    try {
      const answer = await call(scope, kind, { method: 'GET', url, signal });
      return { ...progressOf(answer, { ofResource: isResource(url, scope), now: date(), write }), ids: requestIdsOf(answer.headers) };
    } catch (error) {
      if (error instanceof ArmError) return { state: 'unclear', error, ids: {} };
      throw error;
    }
  }

  return {
    read,
    async write(scope, write, seen, { signal, onOperation, onThrottled } = {}) {
      const state = seen.etag === undefined && now() - seen.readAt > freshMs ? await read(scope, signal) : seen;
      if (/^deleting$/i.test(state.provisioningState)) throw new ArmError({ code: 'notFound' }, `${scope.displayId} is being deleted`);
      const identity = wireIdentity(write, state);
      const sent = {
        attach: write.attach.filter((id) => !state.identities.has(id)),
        detach: write.detach.filter((id) => state.identities.has(id)),
      };
      if (identity === undefined) return sent;
      const request = { method: 'PATCH' as const, url: scope.displayId, body: { identity }, ifMatch: state.etag, signal };
      const answer = await call(scope, 'write', request);
      const context = { scope, written: [...sent.attach, ...sent.detach], attached: state.identities };
      if (answer.status >= 400) throw errorOf(answer, date(), context);
      const url = operationUrlOf(answer, scope, options.resourceManager);
      if (url === undefined) return sent;
      await onOperation?.(url);
      await follow(scope, url, { first: answer, write: context, signal, ...(onThrottled === undefined ? {} : { onThrottled }) });
      return sent;
    },
    resume: (scope, operationUrl, following = {}) =>
      follow(scope, trustedOperationUrl(operationUrl, scope, options.resourceManager), {
        ...following,
        first: undefined,
        write: undefined,
      }),
  };
}

function stateOf(answer: Answer, readAt: number): ScopeSnapshot {
  const { body, headers } = answer;
  // Anything that is not clearly the resource must not pass for one without identities.
  if (!isRecord(body) || typeof body.id !== 'string')
    throw new ArmError({ code: 'transient', retryAfterSeconds: undefined }, 'Azure answered something else than the resource', {
      ids: requestIdsOf(headers),
      status: answer.status,
    });
  const typeText = stringAt(body, 'identity', 'type');
  const type = identityKindOf(typeText);
  if (type === undefined)
    throw new ArmError({ code: 'unknown' }, `the identity type '${typeText ?? ''}' is not known here, so nothing is written`);
  const map = isRecord(body.identity) && isRecord(body.identity.userAssignedIdentities) ? body.identity.userAssignedIdentities : {};
  const etag = typeof body.etag === 'string' ? body.etag : headers.etag;
  return {
    type,
    identities: new Map(Object.entries(map).map(([id, value]) => [id.toLowerCase(), attachedOf(value)])),
    etag,
    provisioningState: provisioningStateOf(body) ?? '',
    location: stringAt(body, 'location') ?? '',
    imdsRestricted: stringAt(body, 'tags', imdsRestrictionTag)?.toLowerCase() === 'true',
    readAt,
  };
}

function attachedOf(value: unknown): AttachedIdentity {
  const clientId = stringAt(value, 'clientId');
  const principalId = stringAt(value, 'principalId');
  return clientId === undefined || principalId === undefined ? null : { clientId, principalId };
}
