// The errors of Resource Manager as {@link ArmFailure}. Pure. Some differ by their text only, because compute wraps the answer of the identity
// service into a string: docs/reference/arm.md#identity-errors.

import { identityIdsIn } from '../../../lib/azure/resource-ids.ts';
import { parseRetryAfter } from '../../../lib/azure/retry-after.ts';
import { at, isRecord, stringAt } from '../../../lib/kube/objects.ts';

export interface Throttled {
  readonly code: 'throttled';
  readonly retryAfterSeconds: number;
  /** Whose budget is spent: the resource's, the subscription's, or this caller's in the subscription. */
  readonly of: 'scope' | 'subscription' | 'principal';
  /** `gate`: no call was made, because the wait of an earlier 429 is not over. */
  readonly source: 'header' | 'text' | 'default' | 'gate';
}

export type ArmFailure =
  | Throttled
  /** These identities (lower-case ids) made ARM refuse the whole write. */
  | {
      readonly code: 'badIdentities';
      readonly ids: readonly string[];
      readonly reason: 'notFound' | 'missingRole' | 'otherTenant' | 'denied' | 'invalid';
    }
  /** The controller itself may not do this; a person must grant it. */
  | { readonly code: 'missingRole'; readonly action: string | undefined }
  /** A deny assignment, such as AKS node resource group lockdown: no role helps. */
  | { readonly code: 'denyAssignment' }
  /** The scale set or VM is gone. */
  | { readonly code: 'notFound' }
  /** The etag is old: read and plan again. */
  | { readonly code: 'preconditionFailed' }
  /** Another operation is under way on the resource. */
  | { readonly code: 'conflict' }
  /** The operation was begun and then given up for a newer one. */
  | { readonly code: 'canceled' }
  /** ARM does not take our token. */
  | { readonly code: 'unauthorized' }
  /** There is no token: Entra or IMDS refused the controller's own sign-in. */
  | { readonly code: 'signInFailed'; readonly retryAfterSeconds: number | undefined }
  /** The operation's outcome can no longer be asked for: its URL has expired, or it ran longer than we wait. */
  | { readonly code: 'operationLost' }
  /** Azure or the way to it: worth a retry. */
  | { readonly code: 'transient'; readonly retryAfterSeconds: number | undefined }
  | { readonly code: 'unknown' };

/** What Azure support asks for. */
export interface RequestIds {
  readonly requestId?: string;
  readonly correlationId?: string;
}

export class ArmError extends Error {
  override readonly name = 'ArmError';
  readonly failure: ArmFailure;
  readonly ids: RequestIds;
  /** HTTP status; undefined where none was answered or the operation failed later. */
  readonly status: number | undefined;
  /** Azure's own code, such as `LinkedAuthorizationFailed`. */
  readonly azureCode: string | undefined;

  constructor(failure: ArmFailure, message: string, about: { ids?: RequestIds; status?: number; azureCode?: string | undefined } = {}) {
    super(shortened(message));
    this.failure = failure;
    this.ids = about.ids ?? {};
    this.status = about.status;
    this.azureCode = about.azureCode;
  }
}

/** No word is cut: the rest of a resource id could no longer be recognised as one, and redacted. */
const shortened = (message: string): string => (message.length > 1000 ? `${message.slice(0, 1000).replace(/[^\s'",]*$/, '')}...` : message);

/** One answer; header names lower case. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Parsed JSON, or the text where it was none. */
  readonly body: unknown;
}

export function requestIdsOf(headers: Answer['headers']): RequestIds {
  const requestId = headers['x-ms-request-id'];
  const correlationId = headers['x-ms-correlation-request-id'];
  return { ...(requestId === undefined ? {} : { requestId }), ...(correlationId === undefined ? {} : { correlationId }) };
}

/**
 * Of an answer that is not a success. `now` is for a Retry-After that names a date, `written` are the lower-case ids that the request attached or
 * detached.
 */
export function errorOf(answer: Answer, now: Date, written: readonly string[] = []): ArmError {
  const azureCode = stringAt(answer.body, 'error', 'code') ?? stringAt(answer.body, 'code');
  const text = textOf(answer.body);
  const failure = failureOf(answer, azureCode ?? '', text, now, written);
  const message = text === '' ? `HTTP ${answer.status}` : text;
  return new ArmError(failure, message, { ids: requestIdsOf(answer.headers), status: answer.status, azureCode });
}

/** Of an operation that ended as `Failed` or `Canceled`, from the body of its status. */
export function operationErrorOf(answer: Answer, now: Date): ArmError {
  const azureCode = stringAt(answer.body, 'error', 'code');
  const text = textOf(answer.body);
  const ended = stringAt(answer.body, 'status') ?? 'Failed';
  const about = { ids: requestIdsOf(answer.headers), azureCode };
  const message = text === '' ? `the operation ended as ${ended}` : text;
  if (/^cancell?ed$/i.test(ended) || isPreemption(azureCode ?? '', text)) return new ArmError({ code: 'canceled' }, message, about);
  // The headers and the status belong to our question about the operation, not to what failed.
  return new ArmError(failureOf({ status: 0, headers: {}, body: answer.body }, azureCode ?? '', text, now, []), message, about);
}

function failureOf(answer: Answer, azureCode: string, text: string, now: Date, written: readonly string[]): ArmFailure {
  const { status, headers } = answer;
  const retryAfter = parseRetryAfter(headers['retry-after'], now);
  if (status === 429 || isThrottling(azureCode, text)) return throttled(headers, azureCode, text, retryAfter);
  if (status === 401) return { code: 'unauthorized' };
  if (status === 412 || azureCode === 'PreconditionFailed') return { code: 'preconditionFailed' };
  if (isPreemption(azureCode, text)) return { code: 'canceled' };

  const ids = identityIdsIn(text);
  const abroad = idsOfLinkedSubscription(text, written);
  if (abroad.length > 0) return { code: 'badIdentities', ids: abroad, reason: 'otherTenant' };
  const denied = /DenyAssignment/i.test(azureCode) || /deny assignment/i.test(text);
  if (ids.length > 0) {
    if (denied) return { code: 'badIdentities', ids, reason: 'denied' };
    if (/AuthorizationFailed/i.test(azureCode) || status === 403) return { code: 'badIdentities', ids, reason: 'missingRole' };
    if (/not\s*found|could not be found|does not exist/i.test(text)) return { code: 'badIdentities', ids, reason: 'notFound' };
    if (isClientFault(status, azureCode)) return { code: 'badIdentities', ids, reason: 'invalid' };
  }
  if (denied) return { code: 'denyAssignment' };
  if (status === 403 || /AuthorizationFailed$/.test(azureCode)) return { code: 'missingRole', action: /action '([^']+)'/.exec(text)?.[1] };
  if (status === 404 || /^(ResourceNotFound|ResourceGroupNotFound|SubscriptionNotFound|NotFound)$/.test(azureCode))
    return { code: 'notFound' };
  if (status === 409 || azureCode === 'Conflict') return { code: 'conflict' };
  if (status === 408 || status >= 500 || /Internal|Retryable|Timeout|Unavailable|Transient/i.test(azureCode))
    return { code: 'transient', retryAfterSeconds: retryAfter };
  return { code: 'unknown' };
}

/** A fault of what was sent: any 4xx but a timeout, and the codes that a 400 has where they come as the end of an operation, which has no status. */
export const isClientFault = (status: number | undefined, azureCode: string): boolean =>
  (status !== undefined && status >= 400 && status < 500 && status !== 408) ||
  /^(FailedIdentityOperation|BadRequest|Invalid\w*|LinkedInvalidPropertyId|IdentityNotFound)$/i.test(azureCode);

const isPreemption = (azureCode: string, text: string): boolean =>
  /^OperationPreempted$|^CanceledAndSuperseded/i.test(azureCode) || /preempted by a more recent|canceledandsuperseded/i.test(text);

// The code of a throttled identity operation is the same as of a failed one, and its status can be that of the failed operation around it.
const isThrottling = (azureCode: string, text: string): boolean =>
  /TooManyRequests|Throttl/i.test(azureCode) ||
  /temporarily throttled|has issued too many requests|too many requests have been received/i.test(text);

/** The wait where a 429 names none: the value that Azure's text shows (docs/reference/arm.md#throttling). */
const defaultRetryAfterSeconds = 20;
const longestRetryAfterSeconds = 3600;

function throttled(headers: Answer['headers'], azureCode: string, text: string, fromHeader: number | undefined): Throttled {
  const found = /retry after\D{0,3}(\d+)\s*(minute)?/i.exec(text) ?? /try again (?:in|after)\D{0,3}(\d+)\s*(minute)?/i.exec(text);
  const fromText = found === null ? undefined : Number(found[1]) * (found[2] === undefined ? 1 : 60);
  // A wait in the text is about the resource, one in the header may be about the outer call: the longer one satisfies both.
  const asked = fromHeader === undefined ? fromText : Math.max(fromHeader, fromText ?? 0);
  const seconds = asked ?? defaultRetryAfterSeconds;
  const source = asked === undefined ? 'default' : asked === fromHeader ? 'header' : 'text';
  return {
    code: 'throttled',
    retryAfterSeconds: Math.min(Math.max(seconds, 1), longestRetryAfterSeconds),
    of: spentBudget(headers, azureCode),
    source,
  };
}

// By the headers that show a spent budget. The text is no proof: it blames the subscription also where only the resource's budget is spent, and
// closing the subscription would stop every other scope.
function spentBudget(headers: Answer['headers'], azureCode: string): Throttled['of'] {
  const frontDoor = Object.entries(headers).some(
    ([name, value]) => /^x-ms-ratelimit-remaining-subscription-/.test(name) && Number.parseInt(value, 10) === 0,
  );
  if (frontDoor || azureCode === 'SubscriptionRequestsThrottled') return 'principal';
  // Policies of a subscription are called so, or, of older kind, by their window, as in PutVM3Min.
  const ofSubscription = /(?:Subscription|\dMin);0(?:,|$)/.test(headers['x-ms-ratelimit-remaining-resource'] ?? '');
  return ofSubscription ? 'subscription' : 'scope';
}

/**
 * Of an identity in another tenant, or in a subscription that does not exist, ARM names the subscription only: `the current tenant '..' is not
 * authorized to access linked subscription '..'`, `the linked subscription '..' was not found` (Azure/aad-pod-identity issues 752 and 397). It may
 * also be that of something else, such as the image of the set.
 */
function idsOfLinkedSubscription(text: string, written: readonly string[]): string[] {
  const subscription = /linked subscription '([^']+)'/i.exec(text)?.[1]?.toLowerCase();
  return subscription === undefined ? [] : written.filter((id) => id.startsWith(`/subscriptions/${subscription}/`));
}

/** Every message of an ARM error: its own and those of its details and inner errors. */
function textOf(body: unknown): string {
  if (typeof body === 'string') return body.slice(0, 20_000);
  const error = at(body, 'error') ?? body;
  const texts: string[] = [];
  const collect = (value: unknown, depth: number): void => {
    if (depth > 4 || !isRecord(value)) return;
    if (typeof value.message === 'string') texts.push(value.message);
    for (const inner of [value.innererror, value.innerError, ...(Array.isArray(value.details) ? value.details : [])])
      collect(inner, depth + 1);
  };
  collect(error, 0);
  return texts.join(' ');
}
