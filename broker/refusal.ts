import type { BrokerError, BrokerErrorCode } from '../api/broker.ts';

const statusOf = {
  unauthenticated: 401,
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

/** An answer other than the one asked for. The message goes to the sidecar and its log: no secret, no token in it. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly code: BrokerErrorCode;
  readonly status: number;
  readonly retryAfterSeconds: number | undefined;

  constructor(code: BrokerErrorCode, message: string, options: { status?: number; retryAfterSeconds?: number } = {}) {
    super(message);
    this.code = code;
    this.status = options.status ?? statusOf[code];
    this.retryAfterSeconds = options.retryAfterSeconds ?? (this.status === 503 ? 1 : undefined);
  }

  get body(): BrokerError {
    return { error: { code: this.code, message: this.message } };
  }
}
