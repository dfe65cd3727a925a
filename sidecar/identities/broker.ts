// One request to the broker: addresses, TLS under the URL's own name, the bound token, JSON in and out.
import type { Clock } from '../../common/clock.ts';

/** `tls` is Bun's: it verifies a server reached by address under another name. */
export interface FetchOptions {
  method?: string;
  headers: Record<string, string>;
  body?: string;
  signal: AbortSignal;
  redirect: 'manual';
  tls?: { ca: string; serverName: string };
}
export type Fetch = (url: string, options: FetchOptions) => Promise<Response>;

export interface BrokerOptions {
  fetch: Fetch;
  /** Origin of the broker, https. */
  url: string;
  /** `host:port` that is tried before the URL's own. */
  address: string | undefined;
  /** PEM to begin with; later answers of the broker replace it. */
  ca: string;
  /** Read for every request: kubelet renews the file. */
  readToken: () => Promise<string>;
  userAgent: string;
  clock: Clock;
}

export interface BrokerAnswer {
  status: number;
  headers: Headers;
  /** Undefined when there is no body or it is not JSON. */
  body: unknown;
}

export interface BrokerCall {
  method?: 'GET' | 'POST';
  path: string;
  query?: Record<string, string>;
  headers?: Record<string, string>;
  body?: unknown;
  timeoutMs: number;
  signal?: AbortSignal;
}

export interface Broker {
  /** Rejects when no answer came: refused, wrong certificate, time over, aborted. */
  call(call: BrokerCall): Promise<BrokerAnswer>;
  trust(ca: string): void;
  /** The next call goes to the other address. */
  turn(): void;
  readonly address: string;
  readonly addresses: number;
}

export function createBroker(options: BrokerOptions): Broker {
  const own = new URL(options.url);
  const origins = options.address === undefined ? [own.origin] : [`https://${options.address}`, own.origin];
  let current = 0;
  let ca = options.ca;
  const origin = () => origins[current] ?? own.origin;
  return {
    async call(call) {
      const url = new URL(call.path, origin());
      url.search = new URLSearchParams(call.query).toString();
      const headers: Record<string, string> = {
        accept: 'application/json',
        'user-agent': options.userAgent,
        authorization: `Bearer ${(await options.readToken()).trim()}`,
        ...call.headers,
      };
      if (call.body !== undefined) headers['content-type'] = 'application/json';
      // An own controller and timer: AbortSignal.timeout and .any would outlive a call that ends early.
      const controller = new AbortController();
      const abort = () => controller.abort();
      const cancel = options.clock.after(call.timeoutMs, () => controller.abort(new Error('no answer in time')));
      if (call.signal?.aborted === true) abort();
      call.signal?.addEventListener('abort', abort, { once: true });
      try {
        const response = await options.fetch(url.href, {
          method: call.method ?? 'GET',
          headers,
          ...(call.body === undefined ? {} : { body: JSON.stringify(call.body) }),
          signal: controller.signal,
          redirect: 'manual',
          tls: { ca, serverName: own.hostname },
        });
        const text = await response.text();
        return { status: response.status, headers: response.headers, body: parseJson(text) };
      } finally {
        cancel();
        call.signal?.removeEventListener('abort', abort);
      }
    },
    trust(pem) {
      ca = pem;
    },
    turn() {
      current = (current + 1) % origins.length;
    },
    get address() {
      return new URL(origin()).host;
    },
    addresses: origins.length,
  };
}

export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Short, stable words of a failed fetch for logs and error answers; never the request. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown error';
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  return code !== '' && !error.message.includes(code) ? `${code}: ${error.message}` : error.message;
}
