// The HTTP client for MSAL. MSAL's default uses the global fetch, which takes neither another CA nor a proxy, and throws on a response that is not JSON.
import { getCACertificates } from 'node:tls';
import type { INetworkModule, NetworkRequestOptions, NetworkResponse } from '@azure/msal-node';
import { EnvHttpProxyAgent, request } from 'undici';

const timeoutMs = 30_000;

/** `ca` is PEM, trusted besides the default roots. HTTPS_PROXY and NO_PROXY apply. */
export function msalNetwork(options: { ca?: string | undefined; userAgent?: string } = {}): INetworkModule {
  const tls = options.ca === undefined ? {} : { ca: [...getCACertificates('default'), options.ca] };
  const dispatcher = new EnvHttpProxyAgent({
    connect: { ...tls, timeout: 10_000 },
    requestTls: tls,
    proxyTls: tls,
    keepAliveTimeout: 1000,
  });

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
