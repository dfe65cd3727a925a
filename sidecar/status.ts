// `status`: prints what the proxy of this pod knows, as JSON.
import { sidecarStatusPath } from '../api/sidecar-status.ts';
import { CommandError } from './errors.ts';

export interface StatusOptions {
  /** `host:port` of the proxy. */
  address: string;
  timeoutMs: number;
  fetch: (url: string, options: { headers: Record<string, string>; signal: AbortSignal }) => Promise<Response>;
}

/** Throws {@link CommandError}. */
export async function readStatus({ address, timeoutMs, fetch }: StatusOptions): Promise<string> {
  let answer: string;
  try {
    const response = await fetch(`http://${address}${sidecarStatusPath}`, {
      headers: { metadata: 'true' },
      signal: AbortSignal.timeout(timeoutMs),
    });
    const body = await response.text();
    if (response.ok) return body;
    answer = `answers HTTP ${response.status}`;
  } catch (error) {
    answer = error instanceof Error ? `does not answer: ${error.message}` : 'does not answer';
  }
  throw new CommandError('status_unavailable', `the identity proxy on ${address} ${answer}`);
}
