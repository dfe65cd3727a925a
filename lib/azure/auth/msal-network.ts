// The HTTP client for MSAL. MSAL's default uses the global fetch, which takes no proxy, and throws on a response that is not JSON.
import type { INetworkModule, NetworkRequestOptions, NetworkResponse } from '@azure/msal-node';
import { EnvHttpProxyAgent, request } from 'undici';

const timeoutMs = 30_000;

/** HTTPS_PROXY and NO_PROXY apply. */
export function msalNetwork(options: { userAgent?: string } = {}): INetworkModule {
  const dispatcher = new EnvHttpProxyAgent({ connect: { timeout: 10_000 }, keepAliveTimeout: 1000 });

  async function send<T>(
    method: 'GET' | 'POST',
    url: string,
    sent: NetworkRequestOptions = {},
    wait = timeoutMs,
  ): Promise<NetworkResponse<T>> {
    const response = await request(url, {
      method,
      dispatcher,
      headers: { ...sent.headers, ...(options.userAgent === undefined ? {} : { 'user-agent': options.userAgent }) },
      signal: AbortSignal.timeout(wait),
      ...(method === 'POST' ? { body: sent.body ?? '' } : {}),
    });
    const headers: Record<string, string> = {};
    for (const [name, value] of Object.entries(response.headers)) if (value !== undefined) headers[name] = [value].flat().join(', ');
    const body = parse(await response.body.text(), response.statusCode);
    // The type parameter is MSAL's; MSAL checks the body itself.
    return { headers, status: response.statusCode, body: body as T };
  }

  return {
    sendGetRequestAsync: (url, sent, wait) => send('GET', url, sent, wait),
    sendPostRequestAsync: (url, sent) => send('POST', url, sent),
  };
}

function parse(text: string, status: number): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return { error: status >= 500 ? 'temporarily_unavailable' : 'invalid_response', error_description: `HTTP ${status} without JSON` };
  }
}
