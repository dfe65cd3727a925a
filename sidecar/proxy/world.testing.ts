// A whole proxy on a fake clock: IMDS and the broker are functions of the test.
import type { IdentitiesAnswer, IdentityRow } from '../../api/broker.ts';
import { createFakeClock } from '../../common/testing/fake-clock.ts';
import type { FetchOptions } from '../identities/broker.ts';
import { readProxySettings } from '../settings.ts';
import { createTestLog, identities } from '../testing.ts';
import type { StartedProxy } from './proxy.ts';
import { startProxy } from './proxy.ts';

export interface Asked {
  url: URL;
  options: FetchOptions;
}
type Answerer = (url: URL, options: FetchOptions) => Response | Promise<Response>;

export function json(body: unknown, status = 200, headers: Record<string, string> = {}): Response {
  return new Response(JSON.stringify(body), { status, headers: { 'content-type': 'application/json', server: 'IMDS/150', ...headers } });
}

/** A promise that only the abort of its request ends, like a fetch that hangs. */
export function hang(options: FetchOptions): Promise<Response> {
  return new Promise((_resolve, reject) => {
    const abort = () => reject(options.signal.reason ?? new Error('aborted'));
    if (options.signal.aborted) abort();
    else options.signal.addEventListener('abort', abort, { once: true });
  });
}

export async function startWorld(flags: readonly string[] = [], firstPoll?: Answerer) {
  const clock = createFakeClock();
  const { log, lines } = createTestLog();
  const asked: { imds: Asked[]; broker: Asked[] } = { imds: [], broker: [] };
  let version = 0;
  let answer: IdentitiesAnswer = identities([]);
  let wake = () => {};

  const nowSeconds = () => Math.floor(clock.wall() / 1000);
  const goodToken = (url: URL, changes: Record<string, unknown> = {}) => {
    const name = (url.searchParams.get('msi_res_id') ?? '').split('/').at(-1) ?? '';
    return json({
      access_token: `token-of-${name}-${asked.imds.length}`,
      client_id: `client-of-${name}`,
      expires_in: '86400',
      expires_on: String(nowSeconds() + 86_400),
      ext_expires_in: '86400',
      not_before: String(nowSeconds()),
      resource: url.searchParams.get('resource'),
      token_type: 'Bearer',
      ...changes,
    });
  };
  const poll: Answerer = async (url, options) => {
    const current = `"${version}"`;
    if (options.headers['if-none-match'] === current && url.searchParams.get('wait') !== '0') {
      await Promise.race([
        hang(options),
        new Promise<void>((resolve) => {
          wake = resolve;
        }),
      ]);
    }
    return options.headers['if-none-match'] === `"${version}"`
      ? new Response(null, { status: 304 })
      : json({ ...answer, asOf: String(version) }, 200, { etag: `"${version}"` });
  };
  const answers: { imds: Answerer; poll: Answerer; token: Answerer; report: Answerer } = {
    imds: (url) => goodToken(url),
    poll: firstPoll ?? poll,
    token: () => json({}, 404),
    report: () => new Response(null, { status: 202 }),
  };
  const fetch = async (href: string, options: FetchOptions): Promise<Response> => {
    const url = new URL(href);
    if (url.protocol === 'http:') {
      asked.imds.push({ url, options });
      return answers.imds(url, options);
    }
    asked.broker.push({ url, options });
    return url.pathname === '/v1/identities'
      ? answers.poll(url, options)
      : url.pathname === '/v1/token'
        ? answers.token(url, options)
        : answers.report(url, options);
  };

  const pem = '-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----';
  const settings = readProxySettings([
    '--broker-url=https://broker.test:9443',
    '--broker-address=10.0.0.9:9443',
    `--broker-ca=${pem}`,
    '--broker-token-file=/t',
    ...flags,
  ]);
  let bound = 0;
  const readToken = () => {
    bound += 1;
    return Promise.resolve(`bound-${bound}\n`);
  };
  const proxy: StartedProxy = startProxy(settings, { fetch, clock, random: () => 0.5, log, ca: pem, readToken });

  let holds = 0;
  const ask = async (target: string, options: { headers?: Record<string, string>; signal?: AbortSignal; method?: string } = {}) => {
    // Not a Request: the one of Node may lose its signal to the garbage collector.
    const request = {
      method: options.method ?? 'GET',
      url: `http://169.254.169.254${target}`,
      headers: new Headers(options.headers ?? { metadata: 'true' }),
      signal: options.signal ?? new AbortController().signal,
    };
    const hold = () => {
      holds += 1;
    };
    return proxy.handle(request, hold);
  };
  const world = {
    clock,
    lines,
    asked,
    answers,
    proxy,
    goodToken,
    poll,
    ask,
    get holds() {
      return holds;
    },
    token: (query = 'resource=r', options?: Parameters<typeof ask>[1]) => ask(`/metadata/identity/oauth2/token?${query}`, options),
    /** What the broker says from now on; the time a next poll may take has passed when it returns. */
    async bind(rows: IdentityRow[], changes: Partial<IdentitiesAnswer> = {}) {
      version += 1;
      answer = identities(rows, changes);
      wake();
      await clock.advance(150);
    },
    /** The answer of a request that needs this much time to get it. */
    async after(ms: number, request: Promise<Response>) {
      let settled = false;
      void request.then(() => {
        settled = true;
      });
      await clock.advance(ms);
      return settled ? request : undefined;
    },
  };
  await clock.advance(0);
  return world;
}

export async function bodyOf(response: Response | undefined): Promise<Record<string, string>> {
  const text = (await response?.text()) ?? '{}';
  return JSON.parse(text);
}
