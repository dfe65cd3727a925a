// A token of the node's own managed identity, straight from IMDS (spec/azure-protocols.md 1.2).
import { Agent, request } from 'undici';
import { isRecord } from '../../kube/objects.ts';
import { parseRetryAfter } from '../retry-after.ts';
import type { AccessToken } from './credential.ts';
import { SignInError } from './credential.ts';

const timeoutMs = 10_000;
/** Never through a proxy: IMDS is the node's own. Idle connections do not keep the process. */
const direct = new Agent({ connect: { timeout: 2000 }, keepAliveTimeout: 1000 });

/** `scope` as the SDK names it, `<resource>/.default`; without a client id the node's default identity. */
export async function imdsToken(options: {
  endpoint: string;
  scope: string;
  clientId: string | undefined;
  userAgent: string;
  now(): number;
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
    retryAfter = parseRetryAfter(typeof header === 'string' ? header : undefined, new Date(options.now()));
    text = await response.body.text();
  } catch (error) {
    throw new SignInError(`IMDS gave no answer for ${whose}: ${error instanceof Error ? error.message : String(error)}`);
  }
  const body = parse(text);
  if (status !== 200) {
    const said = typeof body.error_description === 'string' ? body.error_description : 'no description';
    throw new SignInError(`IMDS refused a token for ${whose} (HTTP ${status}): ${said.slice(0, 300)}`, retryAfter);
  }
  const expiresOn = Number(body.expires_on) * 1000;
  if (typeof body.access_token !== 'string' || !Number.isFinite(expiresOn))
    throw new SignInError(`IMDS answered without a token for ${whose}`);
  // These tokens live for a day and IMDS renews them half-way.
  const half = options.now() + (expiresOn - options.now()) / 2;
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
