import type { BrokerErrorBody, BrokerErrorCode } from '../api/broker.ts';
import type { Logger } from '../lib/log.ts';
import type { ErrorResponse } from '../lib/tls/server.ts';
import { clientErrorStatus } from '../lib/tls/server.ts';

/** The status of a response, where the code alone decides it. */
export const statusOfCode = {
  unauthenticated: 401,
  forbidden: 403,
  pod_gone: 404,
  pod_mismatch: 403,
  not_participating: 403,
  not_ready: 503,
  bad_request: 400,
  not_found: 404,
  throttled: 429,
  token_failed: 400,
  internal: 500,
} as const satisfies Record<BrokerErrorCode, number>;

/** An error response with a stable code. The message goes to the sidecar and its log: it holds no secret and no token. */
export class BrokerError extends Error {
  override readonly name: string = 'BrokerError';
  readonly code: BrokerErrorCode;
  readonly status: number;
  readonly retryAfterSeconds: number | undefined;
  /** OAuth's code of Entra's response, where that decided. */
  readonly entraError: string | undefined;

  constructor(
    code: BrokerErrorCode,
    message: string,
    options: { status?: number; retryAfterSeconds?: number; entraError?: string | undefined } = {},
  ) {
    super(message);
    this.code = code;
    this.status = options.status ?? statusOfCode[code];
    this.entraError = options.entraError;
    this.retryAfterSeconds = options.retryAfterSeconds ?? (this.status === 503 ? 1 : undefined);
  }

  get response(): ErrorResponse {
    const { code, message, entraError } = this;
    const body: BrokerErrorBody = { error: { code, message, ...(entraError === undefined ? {} : { entraError }) } };
    const headers = {
      ...(this.retryAfterSeconds === undefined ? {} : { 'retry-after': String(this.retryAfterSeconds) }),
      ...(this.status === 401 ? { 'www-authenticate': 'Bearer' } : {}),
    };
    return { status: this.status, headers, body };
  }
}

/** The response to whatever a route throws. An unexpected error is logged and its text stays here. */
export function errorResponse(error: unknown, path: string | undefined, log: Logger): ErrorResponse {
  if (error instanceof BrokerError) {
    log.debug({ path, code: error.code, message: error.message }, 'request refused');
    return error.response;
  }
  const status = clientErrorStatus(error);
  if (error instanceof Error && status !== undefined) return new BrokerError('bad_request', error.message, { status }).response;
  log.error({ path, error: error instanceof Error ? error.stack : String(error) }, 'request failed');
  return new BrokerError('internal', 'internal error').response;
}
