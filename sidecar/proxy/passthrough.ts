// Requests that IMDS itself answers: metadata documents, and tokens of a pod that is excepted at this moment.
import type { Limits } from '../http.ts';
import { describeFetchError } from '../http.ts';
import type { ImdsClient, ImdsResponse } from '../tokens/imds-client.ts';
import { imdsApiVersion, imdsTokenPath } from '../tokens/imds-client.ts';
import { errorResponse, passedResponse } from './responses.ts';
import type { PassRoute, Protocol, TokenRoute } from './routes.ts';

export function passDocument(imds: ImdsClient, { path, query }: PassRoute, limits: Limits): Promise<Response> {
  return pass(imds, { path, query }, 'imds', limits);
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
  return pass(imds, { path: imdsTokenPath, query }, protocol, limits);
}

async function pass(
  imds: ImdsClient,
  { path, query }: Pick<PassRoute, 'path' | 'query'>,
  protocol: Protocol,
  limits: Limits,
): Promise<Response> {
  let response: ImdsResponse;
  try {
    response = await imds.get(path, query, limits);
  } catch (error) {
    return errorResponse({ status: 503, message: `IMDS did not answer: ${describeFetchError(error)}`, retryAfter: 5 }, protocol);
  }
  const { status, headers, text } = response;
  const contentType = headers.get('content-type');
  const redirected = status >= 300 && status < 400;
  const isJson = /\bjson\b/i.test(contentType ?? '');
  // IMDS never redirects, and SDKs cannot read an error that is not JSON.
  if (redirected || (status >= 400 && !isJson)) return unreadableResponse(status, protocol);
  return passedResponse(status, contentType, text);
}

function unreadableResponse(imdsStatus: number, protocol: Protocol): Response {
  const status = imdsStatus === 404 || imdsStatus === 410 || imdsStatus === 429 ? imdsStatus : 503;
  const message = `IMDS answered HTTP ${imdsStatus}`;
  return errorResponse({ status, message, ...(status === 429 || status === 503 ? { retryAfter: 5 } : {}) }, protocol);
}
