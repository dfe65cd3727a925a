// Requests that IMDS itself answers: documents, what may be sent to it, and tokens of a pod that is excepted at this moment.
import type { Limits } from '../http.ts';
import { describeFetchError } from '../http.ts';
import type { ImdsClient, ImdsRequest, ImdsResponse } from '../tokens/imds-client.ts';
import { GateFullError, imdsApiVersion, imdsEgress, imdsTokenPath } from '../tokens/imds-client.ts';
import { errorResponse, passedResponse } from './responses.ts';
import type { PassRoute, Protocol, TokenRoute } from './routes.ts';

/** `body` is that of a POST. */
export function passDocument(
  imds: ImdsClient,
  { path, query }: Pick<PassRoute, 'path' | 'query'>,
  limits: Limits,
  body?: object,
): Promise<Response> {
  return pass(imds, { lane: 'document', path, query, ...(body === undefined ? {} : { body }) }, 'imds', limits);
}

/** Neither the cache nor the choice of an identity takes part: IMDS responds as to a pod without this proxy. */
export function passTokenRequest(imds: ImdsClient, route: TokenRoute, limits: Limits): Promise<Response> {
  const { resource, selector, xmsCc, bypass, protocol } = route;
  const query = {
    'api-version': imdsApiVersion,
    resource,
    ...(selector === undefined ? {} : { [selector.name]: selector.value }),
    ...(xmsCc === undefined ? {} : { xms_cc: xmsCc }),
    ...(bypass ? { bypass_cache: 'true' } : {}),
  };
  return pass(imds, { lane: 'token', path: imdsTokenPath, query }, protocol, limits);
}

/** A quarter of the time may pass before the request is sent, the rest after it. */
async function pass(
  imds: ImdsClient,
  request: Omit<ImdsRequest, 'patienceMs'>,
  protocol: Protocol,
  { timeoutMs, signal }: Limits,
): Promise<Response> {
  const patienceMs = timeoutMs / 4;
  let response: ImdsResponse;
  try {
    response = await imds.send({ ...request, patienceMs }, { timeoutMs: timeoutMs - patienceMs, signal });
  } catch (error) {
    // As IMDS answers who asks too often, with the time to wait besides.
    if (error instanceof GateFullError) return errorResponse({ status: 429, message: error.message, retryAfter: 5 }, protocol);
    return errorResponse(
      { status: 503, message: `IMDS did not answer: ${describeFetchError(error)}. ${imdsEgress}`, retryAfter: 5 },
      protocol,
    );
  }
  const { status, headers, bytes } = response;
  const redirected = status >= 300 && status < 400;
  const isJson = /\bjson\b/i.test(headers.get('content-type') ?? '');
  // IMDS never redirects, and SDKs cannot read an error that is not JSON.
  if (redirected || (status >= 400 && !isJson)) return unreadableResponse(status, protocol);
  return passedResponse(status, headers, bytes);
}

function unreadableResponse(imdsStatus: number, protocol: Protocol): Response {
  const status = imdsStatus === 404 || imdsStatus === 410 || imdsStatus === 429 ? imdsStatus : 503;
  const message = `IMDS answered HTTP ${imdsStatus}`;
  return errorResponse({ status, message, ...(status === 429 || status === 503 ? { retryAfter: 5 } : {}) }, protocol);
}
