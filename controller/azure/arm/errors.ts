// The errors of Resource Manager as {@link ArmFailure}. Pure. Some differ by their text only, because compute wraps the answer of the identity
// service into a string: docs/reference/arm.md#identity-errors.

import { parseRetryAfter } from '../../../lib/azure/retry-after.ts';
import { at, isRecord, stringAt } from '../../../lib/kube/objects.ts';
import type { IdentityRefusalCode, RefusalCode } from './refusals.ts';
import { isAboutIdentities, recognise } from './refusals.ts';
import type { WriteContext } from './subject.ts';
import { subjectOf } from './subject.ts';

export interface Throttled {
  readonly code: 'throttled';
  readonly retryAfterSeconds: number;
  /** Whose budget is spent: the resource's, the subscription's, or this caller's in the subscription. */
  readonly of: 'scope' | 'subscription' | 'principal';
  /** `gate`: no call was made, because the wait of an earlier 429 is not over. */
  readonly source: 'header' | 'text' | 'default' | 'gate';
}

/** Named as in the table of refusals, which says what follows. */
export type ArmFailure =
  | Throttled
  /** An identity made ARM refuse the whole write. `ids`: those that ARM names, lower case. */
  | { readonly code: IdentityRefusalCode; readonly ids: readonly string[] }
  /** Identities that are attached and that the write does not touch do not exist any more. */
  | { readonly code: 'attachedIdentityGone'; readonly ids: readonly string[] }
  /** The controller itself may not do this; a person must grant it. */
  | { readonly code: 'missingRole'; readonly action: string | undefined }
  | { readonly code: 'linkedRoleMissing'; readonly action: string | undefined; readonly scope: string | undefined }
  /** Azure or the way to it, or there is no token: Entra or IMDS refused the controller's own sign-in. */
  | { readonly code: 'transient' | 'signInFailed'; readonly retryAfterSeconds: number | undefined }
  | { readonly code: PlainCode };

type PlainCode = Exclude<
  RefusalCode,
  IdentityRefusalCode | 'attachedIdentityGone' | 'throttled' | 'missingRole' | 'linkedRoleMissing' | 'transient' | 'signInFailed'
>;

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
 * Of an answer that is not a success. `now` is for a Retry-After that names a date. `write`: the write that was answered; undefined: it was a read.
 */
export function errorOf(answer: Answer, now: Date, write?: WriteContext): ArmError {
  const azureCode = stringAt(answer.body, 'error', 'code') ?? stringAt(answer.body, 'code');
  const text = textOf(answer.body);
  const failure = failureOf({ ...answer, azureCode: azureCode ?? '', text, now, write });
  const message = text === '' ? `HTTP ${answer.status}` : text;
  return new ArmError(failure, message, { ids: requestIdsOf(answer.headers), status: answer.status, azureCode });
}

/** Of an operation that ended as `Failed` or `Canceled`, from the body of its status. `write`: what began it, where that is known. */
export function operationErrorOf(answer: Answer, now: Date, write?: WriteContext): ArmError {
  const azureCode = stringAt(answer.body, 'error', 'code');
  const text = textOf(answer.body);
  const ended = stringAt(answer.body, 'status') ?? 'Failed';
  const about = { ids: requestIdsOf(answer.headers), azureCode };
  const message = text === '' ? `the operation ended as ${ended}` : text;
  if (/^cancell?ed$/i.test(ended)) return new ArmError({ code: 'canceled' }, message, about);
  // The headers and the status belong to our question about the operation, not to what failed.
  const failed = { status: undefined, headers: {}, body: answer.body };
  return new ArmError(failureOf({ ...failed, azureCode: azureCode ?? '', text, now, write }), message, about);
}

interface Failed extends Omit<Answer, 'status'> {
  readonly status: number | undefined;
  readonly azureCode: string;
  readonly text: string;
  readonly now: Date;
  readonly write: WriteContext | undefined;
}

function failureOf({ status, headers, body, azureCode, text, now, write }: Failed): ArmFailure {
  const { about, ids, action, scope } = subjectOf(azureCode, text, at(body, 'error', 'additionalInfo'), write);
  const code = recognise({ status, azureCode, text, about });
  const retryAfter = parseRetryAfter(headers['retry-after'], now);
  if (isAboutIdentities(code) || code === 'attachedIdentityGone') return { code, ids };
  switch (code) {
    case 'throttled':
      return throttled(headers, azureCode, text, retryAfter);
    case 'missingRole':
      return { code, action };
    case 'linkedRoleMissing':
      return { code, action, scope };
    case 'transient':
    case 'signInFailed':
      return { code, retryAfterSeconds: retryAfter };
    default:
      return { code };
  }
}

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
