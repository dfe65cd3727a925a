// Requests that IMDS itself answers: documents of the table, and tokens of a pod that is excepted at this moment.
import { reasonOf } from '../identities/broker.ts';
import type { Imds, ImdsAnswer } from '../tokens/imds.ts';
import { imdsApiVersion, imdsTokenPath } from '../tokens/imds.ts';
import type { Dialect } from './answers.ts';
import { errorAnswer, passedAnswer } from './answers.ts';
import type { PassRoute, TokenRoute } from './routes.ts';

interface Limits {
  timeoutMs: number;
  signal: AbortSignal;
}

export function passDocument(imds: Imds, { path, query }: PassRoute, limits: Limits): Promise<Response> {
  return pass(imds, path, query, limits, 'imds');
}

/** No cache and no choice of identity: IMDS answers as if this system were not there. */
export function passTokenRequest(
  imds: Imds,
  { resource, selector, xmsCc, bypass, dialect }: TokenRoute,
  limits: Limits,
): Promise<Response> {
  const query = {
    'api-version': imdsApiVersion,
    resource,
    ...(selector === undefined ? {} : { [selector.name]: selector.value }),
    ...(xmsCc === undefined ? {} : { xms_cc: xmsCc }),
    ...(bypass ? { bypass_cache: 'true' } : {}),
  };
  return pass(imds, imdsTokenPath, query, limits, dialect);
}

async function pass(imds: Imds, path: string, query: Record<string, string>, limits: Limits, dialect: Dialect): Promise<Response> {
  let answer: ImdsAnswer;
  try {
    answer = await imds.get(path, query, limits);
  } catch (error) {
    return errorAnswer({ status: 503, text: `IMDS did not answer: ${reasonOf(error)}`, retryAfter: 5 }, dialect);
  }
  const contentType = answer.headers.get('content-type');
  const json = /\bjson\b/i.test(contentType ?? '');
  // A redirect is never IMDS, and SDKs cannot read an error that is not JSON.
  if ((answer.status >= 300 && answer.status < 400) || (answer.status >= 400 && !json)) {
    const status = answer.status === 404 || answer.status === 410 || answer.status === 429 ? answer.status : 503;
    return errorAnswer(
      { status, text: `IMDS answered HTTP ${answer.status}`, ...(status === 429 || status === 503 ? { retryAfter: 5 } : {}) },
      dialect,
    );
  }
  return passedAnswer(answer.status, contentType, answer.text);
}
