// Requests to the broker: two addresses, TLS under the name of the URL, the pod's bound token, JSON in and out.
import type { Clock } from '../../common/clock.ts';
import type { Fetch } from '../http.ts';
import { fetchWhole, jsonOf } from '../http.ts';
import { BrokerContact, BrokerUnreachedError } from './contact.ts';

export interface BrokerClientOptions {
  fetch: Fetch;
  clock: Clock;
  /** Origin of the broker, https. */
  url: string;
  /** `host:port` that is tried before the URL's own. */
  address: string | undefined;
  /** PEM that the first requests trust; responses of the broker replace it. */
  ca: string;
  /** Called for every request, because kubelet renews the token. */
  readToken: () => Promise<string>;
  userAgent: string;
  /** Called for each request that got no response. */
  onUnreached(): void;
}

export interface BrokerResponse {
  status: number;
  headers: Headers;
  /** Undefined when there is no body or it is not JSON. */
  body: unknown;
}

export interface BrokerRequest {
  method?: 'GET' | 'POST';
  path: string;
  query?: Record<string, string>;
  headers?: Record<string, string>;
  body?: unknown;
  timeoutMs: number;
  signal?: AbortSignal;
}

export interface BrokerClient {
  /** Rejects with {@link BrokerUnreachedError} when no response came, or with another error when it was aborted or could not be sent. */
  call(request: BrokerRequest): Promise<BrokerResponse>;
  /** Verifies the broker by these certificates from now on. */
  trust(ca: string): void;
  /** Sends the next request to the other address. */
  switchAddress(): void;
  readonly address: string;
  readonly addressCount: number;
  readonly contact: BrokerContact;
}

export function createBrokerClient(options: BrokerClientOptions): BrokerClient {
  const own = new URL(options.url);
  const origins = options.address === undefined ? [own.origin] : [`https://${options.address}`, own.origin];
  let current = 0;
  const contact = new BrokerContact();
  let ca = options.ca;
  const origin = () => origins[current] ?? own.origin;
  return {
    async call({ method = 'GET', path, query, headers, body, timeoutMs, signal }) {
      const url = new URL(path, origin());
      url.search = new URLSearchParams(query).toString();
      const request = {
        method,
        headers: {
          accept: 'application/json',
          'user-agent': options.userAgent,
          authorization: `Bearer ${(await options.readToken()).trim()}`,
          ...headers,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        tls: { ca, serverName: own.hostname },
      };
      const response = await fetchWhole(options, url, request, { timeoutMs, signal }).catch((error: unknown) => {
        if (signal?.aborted === true) throw error;
        options.onUnreached();
        throw new BrokerUnreachedError(contact.connectionFailed(url.host, error));
      });
      return { status: response.status, headers: response.headers, body: jsonOf(response) };
    },
    trust(pem) {
      ca = pem;
    },
    switchAddress() {
      current = (current + 1) % origins.length;
    },
    get address() {
      return new URL(origin()).host;
    },
    addressCount: origins.length,
    contact,
  };
}
