// Requests to the real IMDS. The redirect of the pod lets this process through.
import type { Clock } from '../../common/clock.ts';
import type { Fetch, Limits, TextResponse } from '../http.ts';
import { fetchText } from '../http.ts';

export const imdsApiVersion = '2018-02-01';
export const imdsTokenPath = '/metadata/identity/oauth2/token';

export interface ImdsResponse extends TextResponse {
  /** The server calls itself IMDS. An NMI of aad-pod-identity and the WireServer do not. */
  genuine: boolean;
}

export interface ImdsClient {
  /** GET with our own headers only. Rejects when no response came in time. */
  get(path: string, query: Record<string, string>, limits: Limits): Promise<ImdsResponse>;
}

export function createImdsClient(options: { fetch: Fetch; clock: Clock; url: string; userAgent: string }): ImdsClient {
  return {
    async get(path, query, limits) {
      const url = new URL(path, options.url);
      url.search = new URLSearchParams(query).toString();
      const headers = { metadata: 'true', accept: '*/*', 'user-agent': options.userAgent };
      const response = await fetchText(options, url, { headers }, limits);
      return { ...response, genuine: /\bIMDS\b/i.test(response.headers.get('server') ?? '') };
    },
  };
}
