// A whole proxy on a fake clock. IMDS and the broker are functions of the test.
import { timingSafeEqual } from 'node:crypto';
import type { IdentitiesResponse, IdentityRow } from '../../api/broker.ts';
import { createFakeClock } from '../../common/testing/fake-clock.ts';
import type { FetchOptions } from '../http.ts';
import { startProxy } from '../proxy/proxy.ts';
import { readProxySettings } from '../settings.ts';
import { createTestLog, hang, identities, json } from './fixtures.ts';

export interface SentRequest {
  url: URL;
  options: FetchOptions;
}
type Responder = (url: URL, options: FetchOptions) => Response | Promise<Response>;

const pem = '-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----';
const brokerFlags = [
  '--broker-url=https://broker.test:9443',
  '--broker-address=10.0.0.9:9443',
  `--broker-ca=${pem}`,
  '--broker-token-file=/t',
];

export interface HarnessOptions {
  flags?: readonly string[];
  /** Answers polls in place of the fake broker. */
  respondToPoll?: Responder;
}

export async function startProxyHarness({ flags = [], respondToPoll }: HarnessOptions = {}) {
  const clock = createFakeClock();
  const { log, lines } = createTestLog();
  const sent: { imds: SentRequest[]; broker: SentRequest[] } = { imds: [], broker: [] };
  const broker = createFakeBroker();

  /** A response of IMDS with a token of the identity that the request names. */
  const tokenResponse = (url: URL, changes: Record<string, unknown> = {}) => {
    const name = (url.searchParams.get('msi_res_id') ?? '').split('/').at(-1) ?? '';
    const nowSeconds = Math.floor(clock.wall() / 1000);
    return json({
      access_token: `token-of-${name}-${sent.imds.length}`,
      client_id: `client-of-${name}`,
      expires_in: '86400',
      expires_on: String(nowSeconds + 86_400),
      ext_expires_in: '86400',
      not_before: String(nowSeconds),
      resource: url.searchParams.get('resource'),
      token_type: 'Bearer',
      ...changes,
    });
  };
  const respond: { imds: Responder; poll: Responder; token: Responder; report: Responder } = {
    imds: (url) => tokenResponse(url),
    poll: respondToPoll ?? broker.poll,
    token: () => json({}, 404),
    report: () => new Response(null, { status: 202 }),
  };
  const fetch = async (href: string, options: FetchOptions): Promise<Response> => {
    const url = new URL(href);
    if (url.protocol === 'http:') {
      sent.imds.push({ url, options });
      return respond.imds(url, options);
    }
    sent.broker.push({ url, options });
    if (url.pathname === '/v1/identities') return respond.poll(url, options);
    return url.pathname === '/v1/token' ? respond.token(url, options) : respond.report(url, options);
  };

  let tokenReads = 0;
  const readToken = () => {
    tokenReads += 1;
    return Promise.resolve(`bound-${tokenReads}\n`);
  };
  const proxy = startProxy(readProxySettings([...brokerFlags, ...flags]), {
    fetch,
    clock,
    random: () => 0.5,
    timingSafeEqual,
    log,
    ca: pem,
    readToken,
  });

  const keptOpen = { count: 0 };
  const request = async (
    target: string,
    options: { headers?: Record<string, string>; signal?: AbortSignal; method?: string; body?: string } = {},
  ) => {
    // Not a Request: the one of Node may lose its signal to the garbage collector.
    const incoming = {
      method: options.method ?? 'GET',
      url: `http://169.254.169.254${target}`,
      headers: new Headers({ host: '169.254.169.254', ...(options.headers ?? { metadata: 'true' }) }),
      signal: options.signal ?? new AbortController().signal,
      text: () => Promise.resolve(options.body ?? ''),
    };
    return proxy.handle(incoming, () => {
      keptOpen.count += 1;
    });
  };
  await clock.advance(0);
  return {
    clock,
    lines,
    sent,
    respond,
    proxy,
    keptOpen,
    tokenResponse,
    request,
    requestToken: (query = 'resource=r', options?: Parameters<typeof request>[1]) =>
      request(`/metadata/identity/oauth2/token?${query}`, options),
    /** Sets what the broker says, and waits until the proxy knows it. */
    async bind(rows: IdentityRow[], changes: Partial<IdentitiesResponse> = {}) {
      broker.set(identities(rows, changes));
      await clock.advance(150);
    },
    /** Advances the clock. The response, if it has come by then. */
    async responseAfter(ms: number, pending: Promise<Response>) {
      let settled = false;
      void pending.then(() => {
        settled = true;
      });
      await clock.advance(ms);
      return settled ? pending : undefined;
    },
  };
}

/** Holds a poll until its list changes. */
function createFakeBroker(): { set(response: IdentitiesResponse): void; poll: Responder } {
  let version = 0;
  let response = identities([]);
  let wake = () => {};
  const etag = () => `"${version}"`;
  return {
    set(next) {
      version += 1;
      response = next;
      wake();
    },
    async poll(url, options) {
      const known = options.headers['if-none-match'];
      if (known === etag() && url.searchParams.get('wait') !== '0') {
        const changed = new Promise<void>((resolve) => {
          wake = resolve;
        });
        await Promise.race([hang(options), changed]);
      }
      if (known === etag()) return new Response(null, { status: 304 });
      return json({ ...response, asOf: String(version) }, 200, { etag: etag() });
    },
  };
}

export async function bodyOf(response: Response | undefined): Promise<Record<string, string>> {
  return JSON.parse((await response?.text()) ?? '{}');
}

/** The text of an error response. */
export async function messageOf(response: Response | undefined): Promise<string> {
  return (await bodyOf(response)).error_description ?? '';
}
