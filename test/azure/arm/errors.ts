// Error answers of ARM in its own words, because clients match on them. docs/reference/arm.md#identity-errors
import type { Answer } from '../core/messages.ts';
import { json } from '../core/messages.ts';
import type { ServiceError } from '../state/model.ts';

export function failure(
  status: number,
  code: string,
  message: string,
  headers: Readonly<Record<string, string>> = {},
  target?: string,
): Answer {
  return json(status, { error: { code, message, ...(target === undefined ? {} : { target }) } }, headers);
}

export const unauthenticated = (code: string, message: string): Answer =>
  failure(401, code, message, {
    'www-authenticate': `Bearer authorization_uri="https://login.windows.net/", error="invalid_token", error_description="${message.replaceAll('"', "'")}"`,
  });

export const notFound = (type: string, name: string, group: string): Answer =>
  failure(404, 'ResourceNotFound', `The Resource '${type}/${name}' under resource group '${group}' was not found.`);

export const badContent = (message: string): Answer =>
  failure(400, 'InvalidRequestContent', `The request content was invalid and could not be deserialized: '${message}'.`);

export const conflict = (): Answer =>
  failure(
    409,
    'Conflict',
    'The request failed due to conflict with a concurrent request. To resolve it, please refer to https://aka.ms/activitylog to get more details on the conflicting requests.',
  );

export const preconditionFailed = (given: string, actual: string): Answer =>
  failure(412, 'PreconditionFailed', `Etag provided in if-match header ${given} does not match etag ${actual} of resource.`);

/** ARM's wrapper around an error of the identity service; `missing` is the id that does not exist. */
export function missingIdentity(resourceId: string, missing: string): ServiceError {
  const inner = JSON.stringify({ error: { code: 'BadRequest', message: `Resource '${missing}' was not found.` } });
  return {
    code: 'FailedIdentityOperation',
    message: `Identity operation for resource '${resourceId}' failed with error 'Failed to perform resource identity operation. Status: 'BadRequest'. Response: '${inner}'.'.`,
  };
}

/** The wait is in the text only; there is no Retry-After header. */
export function throttledIdentity(resourceId: string, seconds: number): Answer {
  const inner = JSON.stringify({
    error: {
      code: 'TooManyRequests',
      message: `Request is temporarily throttled because resource ${resourceId} has issued too many requests. Retry after ${seconds} seconds.`,
    },
  });
  return failure(
    429,
    'FailedIdentityOperation',
    `Identity operation for resource '${resourceId}' failed with error 'Failed to perform resource identity operation. Status: 'TooManyRequests'. Response: '${inner}'.'.`,
  );
}

export const throttled = (retryAfter: number | null): Answer =>
  failure(
    429,
    'OperationNotAllowed',
    'The server rejected the request because too many requests have been received for this subscription.',
    retryAfter === null ? {} : { 'retry-after': String(retryAfter) },
  );
