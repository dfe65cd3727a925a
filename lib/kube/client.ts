// The one way to the API server: raw JSON over one keep-alive dispatcher. client-node supplies the configuration (kubeconfig, in-cluster)
// and authentication; by itself it opens a TLS connection for every call and has no timeouts (docs/adr/0015-own-kubernetes-client-layer.md).
import type { RequestOptions } from 'node:https';
import type { KubeConfig } from '@kubernetes/client-node';
import type { Dispatcher } from 'undici';
import { request } from 'undici';
import type { Clock } from '../../common/clock.ts';
import { systemClock } from '../../common/clock.ts';
import { waitInTurn } from '../rate-limiters.ts';
import { dispatcherFor } from './dispatcher.ts';
import { IdleWatchError, KubeError } from './errors.ts';
import type { KubeconfigOptions } from './kubeconfig.ts';
import { loadKubeconfig } from './kubeconfig.ts';
import { splitLines } from './lines.ts';

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

export interface CallOptions {
  query?: Record<string, string>;
  body?: unknown;
  /** Type of the body; JSON unless a patch type is meant. */
  contentType?: string;
  /** 30 s by default. It begins after the wait for a turn under the rate limit, and counts the wait for a connection. */
  timeoutMs?: number;
  signal?: AbortSignal;
  /** Sends the call at once, past the rate limit and on a connection of its own: the Lease must not run out behind thousands of other calls. */
  unpaced?: boolean;
}

export interface WatchOptions {
  query: Record<string, string>;
  /** Ends the stream with an error when nothing, not even a bookmark, arrived for so long. */
  inactivityMs: number;
  signal: AbortSignal;
}

export interface KubeClient {
  /** Sends and receives JSON. Throws {@link KubeError} for an error answer, a transport error otherwise. */
  call(method: Method, path: string, options?: CallOptions): Promise<unknown>;
  /** Yields the JSON objects of a watch until the server ends it. Throws as `call` does. */
  watch(path: string, options: WatchOptions): AsyncGenerator<unknown, void, undefined>;
  /** Closes every connection; calls under way fail. */
  close(): Promise<void>;
}

export const mergePatch = 'application/merge-patch+json';
export const jsonPatch = 'application/json-patch+json';

export interface ConnectOptions {
  userAgent: string;
  /** Calls a second on average; after a pause four seconds' worth go at once. Watches do not count. */
  qps: number;
  clock?: Clock | undefined;
}

interface Connection {
  server: string;
  authenticate(): Promise<RequestOptions>;
}

interface OpenOptions {
  query: Record<string, string>;
  signal: AbortSignal;
  bodyTimeout?: number;
  body?: unknown;
  contentType?: string | undefined;
  /** The connections that it shares. */
  pool: 'calls' | 'others';
}

/**
 * Reads the configuration as kubectl does: the file if given, else $KUBECONFIG, else ~/.kube/config, else the pod's service account.
 * Throws {@link SettingsError} for one that cannot be used.
 */
export const connect = (options: ConnectOptions & KubeconfigOptions): KubeClient => connectWith(loadKubeconfig(options), options);

/** By a configuration whose current context has a cluster. */
export function connectWith(config: KubeConfig, options: ConnectOptions): KubeClient {
  const connection: Connection = {
    server: (config.getCurrentCluster()?.server ?? '').replace(/\/$/, ''),
    authenticate: async () => {
      const https: RequestOptions = {};
      await config.applyToHTTPSOptions(https);
      return https;
    },
  };
  return createKubeClient(connection, options);
}

function createKubeClient(connection: Connection, { userAgent, qps, clock = systemClock }: ConnectOptions): KubeClient {
  const dispatchers = dispatcherFor(new URL(connection.server).origin);
  const closing = new AbortController();
  const turn = waitInTurn({ perSecond: qps, burst: Math.max(1, 4 * qps), clock });

  async function open(method: Method, path: string, { query, signal, bodyTimeout, body, contentType, pool }: OpenOptions) {
    const https = await connection.authenticate();
    const url = new URL(connection.server + path);
    for (const [key, value] of Object.entries(query)) url.searchParams.set(key, value);
    // The keys of the token issuer come as another type of JSON and as nothing else.
    const headers: Record<string, string> = { accept: 'application/json, */*;q=0.5', 'user-agent': userAgent };
    for (const [key, value] of Object.entries(https.headers ?? {})) headers[key.toLowerCase()] = String(value);
    if (typeof https.auth === 'string') headers.authorization = `Basic ${Buffer.from(https.auth).toString('base64')}`;
    if (body !== undefined) headers['content-type'] = contentType ?? 'application/json';
    return request(url, {
      method,
      headers,
      dispatcher: dispatchers.get(https)[pool],
      signal,
      ...(bodyTimeout === undefined ? {} : { bodyTimeout }),
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  }

  return {
    async call(method, path, options = {}) {
      const { query = {}, body, contentType, timeoutMs = 30_000 } = options;
      const given = AbortSignal.any([closing.signal, ...(options.signal === undefined ? [] : [options.signal])]);
      if (options.unpaced !== true) await turn(given);
      // Not AbortSignal.timeout: its timer goes on after the call is over.
      const overdue = new AbortController();
      const cancelTimeout = clock.after(timeoutMs, () => overdue.abort(new Error(`no answer within ${timeoutMs} ms`)));
      try {
        const pool = options.unpaced === true ? 'others' : 'calls';
        const response = await open(method, path, { query, signal: AbortSignal.any([given, overdue.signal]), body, contentType, pool });
        const text = await response.body.text();
        if (response.statusCode >= 400) throw errorOf(response, text);
        return text === '' ? undefined : (JSON.parse(text) as unknown);
      } finally {
        cancelTimeout();
      }
    },

    async *watch(path, options) {
      const idle = idleTimer(clock, options.inactivityMs);
      const signal = AbortSignal.any([closing.signal, options.signal, idle.signal]);
      try {
        const response = await open('GET', path, { query: { ...options.query, watch: 'true' }, signal, bodyTimeout: 0, pool: 'others' });
        if (response.statusCode >= 400) throw errorOf(response, await response.body.text());
        for await (const line of splitLines(response.body)) {
          idle.touch();
          yield JSON.parse(line) as unknown;
        }
      } finally {
        // A consumer that stops early leaves a half-read body: only an abort frees its connection.
        idle.abort();
      }
    },

    async close() {
      closing.abort(new Error('the client is closed'));
      await dispatchers.close();
    },
  };
}

/** A signal that aborts when nothing touched it for so long. */
function idleTimer(clock: Clock, inactivityMs: number) {
  const idle = new AbortController();
  let touchedAt = clock.now();
  let cancel = clock.after(inactivityMs, check);

  function check(): void {
    const leftMs = touchedAt + inactivityMs - clock.now();
    if (leftMs <= 0) idle.abort(new IdleWatchError(inactivityMs));
    else cancel = clock.after(leftMs, check);
  }

  return {
    signal: idle.signal,
    touch(): void {
      touchedAt = clock.now();
    },
    abort(): void {
      cancel();
      idle.abort();
    },
  };
}

function errorOf(response: Dispatcher.ResponseData, text: string): KubeError {
  const retryAfter = Number(response.headers['retry-after']);
  const retryAfterSeconds = Number.isFinite(retryAfter) ? retryAfter : undefined;
  try {
    const status = JSON.parse(text) as { reason?: unknown; message?: unknown };
    const message = typeof status.message === 'string' ? status.message : text;
    return new KubeError(response.statusCode, typeof status.reason === 'string' ? status.reason : '', message, retryAfterSeconds);
  } catch {
    return new KubeError(response.statusCode, '', text.slice(0, 300) || `HTTP ${response.statusCode}`, retryAfterSeconds);
  }
}
