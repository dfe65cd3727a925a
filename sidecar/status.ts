// `status` and `try-token`: what the proxy of this pod knows and gives, as JSON, for whoever looks why a pod gets no token.
import { sidecarStatusPath } from '../api/sidecar-status.ts';
import { CommandError } from './errors.ts';

export interface StatusOptions {
  /** `host:port` of the proxy. */
  address: string;
  timeoutMs: number;
  fetch: (url: string, options: { headers: Record<string, string>; signal: AbortSignal }) => Promise<Response>;
}

/** Throws {@link CommandError}. */
export async function readStatus(options: StatusOptions): Promise<string> {
  const { status, body } = await ask(options, sidecarStatusPath);
  if (status === 200) return body;
  throw new CommandError('status_unavailable', `the identity proxy on ${options.address} answers HTTP ${status}`);
}

/** The claims of a token for the resource, which the proxy gives as to the app. The token itself stays here. Throws {@link CommandError}. */
export async function readClaims(options: StatusOptions, resource: string): Promise<string> {
  const query = new URLSearchParams({ 'api-version': '2018-02-01', resource });
  const { status, body } = await ask(options, `/metadata/identity/oauth2/token?${query}`);
  if (status !== 200) throw new CommandError('token_refused', `HTTP ${status}: ${body}`);
  return claimsIn(body);
}

async function ask({ address, timeoutMs, fetch }: StatusOptions, path: string): Promise<{ status: number; body: string }> {
  try {
    const response = await fetch(`http://${address}${path}`, { headers: { metadata: 'true' }, signal: AbortSignal.timeout(timeoutMs) });
    return { status: response.status, body: await response.text() };
  } catch (error) {
    const why = error instanceof Error ? error.message : 'unknown error';
    throw new CommandError('status_unavailable', `the identity proxy on ${address} does not answer: ${why}`);
  }
}

/** The second part of a JWT. Nothing of another kind of token is shown. */
function claimsIn(body: string): string {
  const [, payload = ''] = String((JSON.parse(body) as { access_token?: unknown }).access_token).split('.');
  try {
    const bytes = Uint8Array.from(atob(payload.replaceAll('-', '+').replaceAll('_', '/')), (letter) => letter.charCodeAt(0));
    return JSON.stringify(JSON.parse(new TextDecoder().decode(bytes)));
  } catch {
    return '{}';
  }
}
