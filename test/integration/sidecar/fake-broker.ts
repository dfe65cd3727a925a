// A fake of broker/: the identities of one pod, a long poll, tokens, reports, and errors on demand.
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { IdentitiesResponse, IdentityRow } from '../../../api/broker.ts';
import { hostTokenPath, identitiesPath, reportPath, tokenPath } from '../../../api/broker.ts';
import { createServingCertificate } from '../../azure/core/certificates.ts';

const brokerName = 'broker.identity.svc';

export interface BrokerFailure {
  status: number;
  code: string;
}

export interface FakeBroker {
  /** URL by a name that does not resolve, with the port of this listener. Only `address` leads to it. */
  readonly url: string;
  readonly address: string;
  readonly ca: string;
  readonly requests: { method: string; path: string; query: URLSearchParams; token: string; body: unknown }[];
  set(rows: IdentityRow[], more?: Partial<IdentitiesResponse>): void;
  /** Answers every poll with this error until {@link set}. */
  fail(failure: BrokerFailure): void;
  /** Responses of `POST /v1/token`. */
  mint: (body: unknown) => { status: number; body: unknown };
  /** Responses of `POST /v1/host-token`. */
  host: (body: unknown) => { status: number; body: unknown } | Promise<{ status: number; body: unknown }>;
  stop(): Promise<void>;
}

export async function startFakeBroker({ host = '127.0.0.1' } = {}): Promise<FakeBroker> {
  const certificate = await createServingCertificate([brokerName]);
  let answer: IdentitiesResponse = {
    pod: { name: 'app', namespace: 'team', uid: 'uid-1' },
    excepted: false,
    asOf: '0',
    caBundle: certificate.ca,
    identities: [],
  };
  let version = 0;
  let failure: BrokerFailure | undefined;
  const waiting = new Set<() => void>();
  const requests: FakeBroker['requests'] = [];
  const changed = () => {
    version += 1;
    for (const wake of [...waiting]) wake();
  };

  const poll = async (query: URLSearchParams, etag: string | undefined, request: IncomingMessage) => {
    const seconds = Number(query.get('wait'));
    // A client that has left closes its socket once only: its wait would keep the test for minutes.
    if (failure === undefined && etag === `"${version}"` && seconds > 0 && !request.socket.destroyed) {
      await new Promise<void>((resolve) => {
        const wake = () => {
          clearTimeout(timer);
          waiting.delete(wake);
          resolve();
        };
        const timer = setTimeout(wake, seconds * 1000);
        waiting.add(wake);
        request.socket.once('close', wake);
      });
    }
    if (failure !== undefined) return { status: failure.status, body: { error: { code: failure.code, message: 'as the test wants' } } };
    if (etag === `"${version}"`) return { status: 304 };
    return { status: 200, headers: { etag: `"${version}"` }, body: { ...answer, asOf: String(version) } };
  };

  const handle = async (request: IncomingMessage, response: ServerResponse) => {
    const url = new URL(request.url ?? '/', 'https://broker');
    let text = '';
    for await (const chunk of request) text += String(chunk);
    const body: unknown = text === '' ? undefined : JSON.parse(text);
    const token = (request.headers.authorization ?? '').replace(/^Bearer /, '');
    requests.push({ method: request.method ?? '', path: url.pathname, query: url.searchParams, token, body });
    const result: { status: number; headers?: Record<string, string>; body?: unknown } =
      url.pathname === identitiesPath
        ? await poll(url.searchParams, request.headers['if-none-match'], request)
        : url.pathname === tokenPath
          ? broker.mint(body)
          : url.pathname === reportPath
            ? { status: 202 }
            : url.pathname === hostTokenPath
              ? await broker.host(body)
              : { status: 404 };
    response.writeHead(result.status, { 'content-type': 'application/json', ...result.headers });
    response.end(result.body === undefined ? undefined : JSON.stringify(result.body));
  };
  const server = createServer({ cert: certificate.cert, key: certificate.key }, (request, response) => {
    handle(request, response).catch((error: unknown) => response.destroy(error instanceof Error ? error : undefined));
  });
  server.listen(0, host);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;

  const broker: FakeBroker = {
    url: `https://${brokerName}:${port}`,
    address: `${host.includes(':') ? `[${host}]` : host}:${port}`,
    ca: certificate.ca,
    requests,
    mint: () => ({ status: 503, body: { error: { code: 'token_failed', message: 'no minter in this test' } } }),
    host: () => ({ status: 404, body: { error: { code: 'not_found', message: 'no pod in this test' } } }),
    set(identities, more = {}) {
      failure = undefined;
      answer = { ...answer, identities, ...more };
      changed();
    },
    fail(next) {
      failure = next;
      changed();
    },
    async stop() {
      for (const wake of [...waiting]) wake();
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  return broker;
}
