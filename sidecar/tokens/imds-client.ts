// Requests to the real IMDS. The redirect of the pod lets this process through.
import type { Clock } from '../../common/clock.ts';
import type { Fetch, Limits, WholeResponse } from '../http.ts';
import { fetchWhole } from '../http.ts';
import type { ImdsGate, Lane } from './imds-gate.ts';

export const imdsApiVersion = '2018-02-01';
export const imdsTokenPath = '/metadata/identity/oauth2/token';

/** What to look at when no response came. */
export const imdsEgress =
  'This pod needs egress to 169.254.169.254, TCP 80: does a network policy or an IMDS restriction of the cluster deny it?';

export interface ImdsResponse extends WholeResponse {
  /** The server calls itself IMDS. An NMI of aad-pod-identity and the WireServer do not. */
  genuine: boolean;
}

export interface ImdsRequest {
  lane: Lane;
  path: string;
  query: Record<string, string>;
  /** Sent by POST, as JSON. Absent: GET. */
  body?: object;
  /** How long it may wait for its turn at the gate. Absent: until the signal aborts. */
  patienceMs?: number;
}

/** The request was not sent, because too many others wait. */
export class GateFullError extends Error {
  override readonly name = 'GateFullError';
  readonly code = 'gate_full';
}

export interface ImdsClient {
  /**
   * Sends our own headers only, once the gate admits the request. Rejects with {@link GateFullError}, or with another error when no response came; the
   * time-out counts from when the request is sent.
   */
  send(request: ImdsRequest, limits: Limits): Promise<ImdsResponse>;
}

export function createImdsClient(options: { fetch: Fetch; clock: Clock; gate: ImdsGate; url: string; userAgent: string }): ImdsClient {
  const headers = { metadata: 'true', accept: '*/*', 'user-agent': options.userAgent };
  return {
    async send({ lane, path, query, body, patienceMs }, limits) {
      const release = await options.gate.enter({ lane, signal: limits.signal, patienceMs });
      if (release === 'full') throw new GateFullError('too many requests of this pod to IMDS wait');
      if (release === 'aborted') throw new Error('given up while waiting for earlier requests');
      const url = new URL(path, options.url);
      url.search = new URLSearchParams(query).toString();
      const post = body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) };
      const sent = { ...post, headers: body === undefined ? headers : { ...headers, 'content-type': 'application/json' } };
      let success = false;
      try {
        const response = await fetchWhole(options, url, sent, limits);
        success = response.status === 200;
        return { ...response, genuine: /\bIMDS\b/i.test(response.headers.get('server') ?? '') };
      } finally {
        release(success);
      }
    },
  };
}
