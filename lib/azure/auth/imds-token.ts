// A token of a managed identity of the node, from IMDS (docs/reference/imds.md).
import { Agent, request } from 'undici';
import type { Clock } from '../../../common/clock.ts';
import { isRecord } from '../../kube/objects.ts';
import { parseRetryAfter } from '../retry-after.ts';
import type { AccessToken } from './access-token.ts';
import { SignInError } from './access-token.ts';

const timeoutMs = 10_000;
/** Never through a proxy, since IMDS is local to the node. Idle connections do not keep the process alive. */
const direct = new Agent({ connect: { timeout: 2000 }, keepAliveTimeout: 1000 });

/** `scope` as the SDK names it, `<resource>/.default`; without a client id the default identity of the node. Throws {@link SignInError}. */
export async function requestImdsToken(options: {
  endpoint: string;
  scope: string;
  clientId: string | undefined;
  userAgent: string;
  clock: Clock;
}): Promise<AccessToken> {
  const url = new URL('/metadata/identity/oauth2/token', options.endpoint);
  url.searchParams.set('api-version', '2018-02-01');
  url.searchParams.set('resource', options.scope.replace(/\/\.default$/, ''));
  if (options.clientId !== undefined) url.searchParams.set('client_id', options.clientId);
  const whose = options.clientId === undefined ? "the node's managed identity" : `managed identity ${options.clientId}`;

  let status: number;
  let retryAfter: number | undefined;
  let text: string;
  try {
    const headers = { metadata: 'true', 'user-agent': options.userAgent };
    const response = await request(url, { dispatcher: direct, headers, signal: AbortSignal.timeout(timeoutMs) });
    status = response.statusCode;
    const header = response.headers['retry-after'];
    retryAfter = parseRetryAfter(typeof header === 'string' ? header : undefined, new Date(options.clock.wall()));
    text = await response.body.text();
  } catch (error) {
    // The IMDS restriction of AKS drops it without a word (docs/reference/imds.md).
    const advice = 'with the IMDS restriction of AKS, sign in by workload identity (adminsecret.workloadIdentity)';
    throw new SignInError(`IMDS gave no answer for ${whose} (${advice}): ${error instanceof Error ? error.message : String(error)}`);
  }
  const body = parse(text);
  if (status !== 200) {
    const said = typeof body.error_description === 'string' ? body.error_description : 'no description';
    throw new SignInError(`IMDS refused a token for ${whose} (HTTP ${status}): ${said.slice(0, 300)}`, retryAfter);
  }
  const expiresOn = Number(body.expires_on) * 1000;
  if (typeof body.access_token !== 'string' || !Number.isFinite(expiresOn))
    throw new SignInError(`IMDS answered without a token for ${whose}`);
  // IMDS renews its tokens, which live for a day, at half of their life.
  const now = options.clock.wall();
  const half = now + (expiresOn - now) / 2;
  return { token: body.access_token, expiresOnTimestamp: expiresOn, refreshAfterTimestamp: half };
}

function parse(text: string): Record<string, unknown> {
  try {
    const body: unknown = JSON.parse(text);
    return isRecord(body) ? body : {};
  } catch {
    return {};
  }
}
