// Outgoing HTTP requests: one whole response within a time limit.
import type { Clock } from '../common/clock.ts';

/** `tls` is an extension of Bun: it verifies a server that is reached by address under another name. */
export interface FetchOptions {
  method?: string;
  headers: Record<string, string>;
  body?: string;
  signal: AbortSignal;
  redirect: 'manual';
  tls?: { ca: string; serverName: string };
}
export type Fetch = (url: string, options: FetchOptions) => Promise<Response>;

export interface WholeResponse {
  status: number;
  headers: Headers;
  bytes: ArrayBuffer;
}

export interface Limits {
  timeoutMs: number;
  signal?: AbortSignal | undefined;
}

/** The time was over before the whole response was there. */
export class NoAnswerError extends Error {
  override readonly name = 'NoAnswerError';
  readonly code = 'no_answer';

  constructor() {
    super('no answer in time');
  }
}

/** Rejects with {@link NoAnswerError} when the time is over, or with another error when no whole response came: connection refused, wrong certificate, aborted. A redirect is returned, not followed. */
export async function fetchWhole(
  { fetch, clock }: { fetch: Fetch; clock: Clock },
  url: URL,
  request: Omit<FetchOptions, 'signal' | 'redirect'>,
  { timeoutMs, signal }: Limits,
): Promise<WholeResponse> {
  // Not AbortSignal.timeout and AbortSignal.any: both stay in memory until the time is over, also after a response.
  const controller = new AbortController();
  const abort = () => controller.abort();
  let isOver = false;
  const cancel = clock.after(timeoutMs, () => {
    isOver = true;
    controller.abort(new NoAnswerError());
  });
  if (signal?.aborted === true) abort();
  signal?.addEventListener('abort', abort, { once: true });
  try {
    const response = await fetch(url.href, { ...request, signal: controller.signal, redirect: 'manual' });
    return { status: response.status, headers: response.headers, bytes: await response.arrayBuffer() };
  } catch (error) {
    // Runtimes differ in whether they reject with the reason of the signal.
    throw isOver ? new NoAnswerError() : error;
  } finally {
    cancel();
    signal?.removeEventListener('abort', abort);
  }
}

/** Undefined for a response that is not JSON. */
export function jsonOf({ bytes }: Pick<WholeResponse, 'bytes'>): unknown {
  return parseJson(new TextDecoder().decode(bytes));
}

/** Undefined for text that is not JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Why a request failed, short enough for logs and error responses, without a full stop. Never holds the request. */
export function describeFetchError(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown error';
  if (error instanceof NoAnswerError) return error.message;
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  const message = error.message.replace(/[.?!]+$/, '');
  return code !== '' && !message.includes(code) ? `${code}: ${message}` : message;
}
