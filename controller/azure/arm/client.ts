// One call to Resource Manager. The client of @azure/arm-compute has the pipeline: sign-in, TLS, proxy, user agent. This file reads the answers
// itself, because the generated operations lose errors and ignore settings (docs/reference/client-libraries.md#azurearm-compute).
import type { ComputeManagementContext } from '@azure/arm-compute/api';
import { untilAborted } from '../../../lib/azure/abort.ts';
import type { TokenCredential } from '../../../lib/azure/auth/access-token.ts';
import { SignInError } from '../../../lib/azure/auth/access-token.ts';
import type { Cloud } from '../../../lib/azure/clouds.ts';
import { stringAt } from '../../../lib/kube/objects.ts';
import type { Logger } from '../../../lib/log.ts';
import type { Answer } from './errors.ts';
import { ArmError, requestIdsOf } from './errors.ts';

export interface ArmRequest {
  readonly method: 'GET' | 'PUT' | 'PATCH' | 'DELETE';
  /** An ARM path, or the URL of an operation. */
  readonly url: string;
  readonly body?: unknown;
  readonly ifMatch?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Returns every answer, also an error. Throws {@link ArmError} `transient` when there is no answer and `signInFailed` when there is no token, or the
 * reason of the signal.
 */
export type Send = (request: ArmRequest) => Promise<Answer>;

/** Of the compute operations that @azure/arm-compute 25.1.1 is made for. */
const defaultApiVersion = '2026-04-01';
/** An older one has a list of identities, which a PATCH replaces as a whole (docs/reference/arm.md#the-identity-property). */
const oldestApiVersion = '2018-06-01';
const callTimeoutMs = 30_000;

type RequestParameters = NonNullable<Parameters<ReturnType<ComputeManagementContext['pathUnchecked']>['get']>[0]>;

export interface ArmOptions {
  cloud: Cloud;
  credential: TokenCredential;
  apiVersion?: string | undefined;
  userAgent: string;
  /** Whether the credential signs in in another way than at the last call. The tokens from before are then dropped. */
  signInChanged(): boolean;
  log: Logger;
}

export function createArm(options: ArmOptions): Send {
  const { cloud, credential, log } = options;
  const connect = async () => {
    // Loaded when it is used: a replica that does not lead makes no call (docs/reference/node-runtime.md#memory).
    const { createComputeManagement } = await import('@azure/arm-compute/api');
    // Which subscription is in the path of every call.
    return createComputeManagement(credential, '', {
      endpoint: cloud.resourceManager,
      credentials: { scopes: [cloud.resourceManagerScope] },
      userAgentOptions: { userAgentPrefix: options.userAgent },
      retryOptions: { maxRetries: 0 },
      redirectOptions: { maxRetries: 0 },
    });
  };
  let client: Promise<ComputeManagementContext> | undefined;
  let apiVersion = options.apiVersion ?? defaultApiVersion;
  let fellBack = false;

  async function once(request: ArmRequest): Promise<Answer> {
    if (options.signInChanged()) client = undefined;
    client ??= connect();
    const url = new URL(request.url, cloud.resourceManager);
    if (!url.searchParams.has('api-version')) url.searchParams.set('api-version', apiVersion);
    const route = (await client).pathUnchecked(url.href);
    let answer: Answer | undefined;
    // The SDK's own timeout ends with the headers and leaves its timer behind.
    const timeout = AbortSignal.timeout(callTimeoutMs);
    const signal = request.signal === undefined ? timeout : AbortSignal.any([request.signal, timeout]);
    const parameters: RequestParameters = {
      abortSignal: signal,
      // Called for every answer; what the call returns or throws depends on whether the body is good JSON.
      onResponse: ({ status, rawHeaders, parsedBody, bodyAsText }) => {
        answer = { status, headers: rawHeaders ?? {}, body: parsedBody ?? bodyAsText };
      },
    };
    const write: RequestParameters = {
      ...parameters,
      ...(request.body === undefined ? {} : { contentType: 'application/json', body: request.body }),
      headers: request.ifMatch === undefined ? {} : { 'if-match': request.ifMatch },
    };
    const calls = {
      GET: () => route.get(parameters),
      PUT: () => route.put(write),
      PATCH: () => route.patch(write),
      DELETE: () => route.delete(write),
    };
    const started = performance.now();
    let failure: unknown;
    try {
      await untilAborted(calls[request.method](), signal);
    } catch (error) {
      failure = error;
    }
    request.signal?.throwIfAborted();
    const about = { method: request.method, resource: url.pathname, ms: Math.round(performance.now() - started) };
    if (answer !== undefined) {
      log[answer.status >= 400 ? 'warn' : 'info']({ ...about, status: answer.status, ...requestIdsOf(answer.headers) }, 'Azure answered');
      return answer;
    }
    const error = noAnswer(failure);
    log.warn({ ...about, failure: error.failure.code, error: error.message }, 'no answer of Azure');
    throw error;
  }

  return async (request) => {
    let answer = await once(request);
    if (answer.status === 401) {
      // The SDK keeps a token until it expires, whatever ARM thinks of it; a new client asks for a new one.
      client = undefined;
      answer = await once(request);
    }
    const offered = fellBack || request.url.includes('api-version=') ? undefined : newestApiVersionIn(answer);
    if (offered === undefined || offered === apiVersion) return answer;
    fellBack = true;
    log.warn({ apiVersion, offered }, 'Resource Manager does not know this api-version: from now on the newest it offers');
    apiVersion = offered;
    return once(request);
  };
}

/** The newest version in an error that lists the supported ones; a preview only where there is no other. Undefined for any other answer. */
function newestApiVersionIn(answer: Answer): string | undefined {
  const code = stringAt(answer.body, 'error', 'code') ?? '';
  if (answer.status < 400 || !/^(InvalidApiVersionParameter|InvalidResourceType|NoRegisteredProviderFound)$/.test(code)) return undefined;
  const list = /supported (?:api-)?versions are (.*)/is.exec(stringAt(answer.body, 'error', 'message') ?? '')?.[1] ?? '';
  const versions = [...list.matchAll(/\d{4}-\d{2}-\d{2}(-[a-z]+)?/g)].map(([text]) => text).filter((text) => text >= oldestApiVersion);
  const stable = versions.filter((text) => text.length === 10);
  return (stable.length > 0 ? stable : versions).sort().at(-1);
}

function noAnswer(error: unknown): ArmError {
  if (error instanceof SignInError)
    return new ArmError({ code: 'signInFailed', retryAfterSeconds: error.retryAfterSeconds }, error.message);
  const text = error instanceof Error ? error.message : String(error);
  const message = error instanceof Error && error.name === 'TimeoutError' ? `no answer within ${callTimeoutMs / 1000} s` : text;
  return new ArmError({ code: 'transient', retryAfterSeconds: undefined }, message);
}
