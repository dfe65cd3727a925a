// The one way to the API server: raw JSON over one keep-alive dispatcher. client-node supplies the configuration (kubeconfig, in-cluster)
// and authentication; by itself it opens a TLS connection for every call and has no timeouts (spec/node-runtime.md 5.2).
import type { RequestOptions } from 'node:https';
import { createSecureContext } from 'node:tls';
import { KubeConfig } from '@kubernetes/client-node';
import type { Dispatcher } from 'undici';
import { Pool, request } from 'undici';
import { SettingsError } from '../settings.ts';
import { IdleWatchError, KubeError } from './errors.ts';
import { splitLines } from './lines.ts';
import { tokenBucket } from './rate.ts';

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

export interface CallOptions {
  query?: Record<string, string>;
  body?: unknown;
  /** Of the body; JSON unless a patch type is meant. */
  contentType?: string;
  /** For the whole call, default 30 s. */
  timeoutMs?: number;
  signal?: AbortSignal;
  /** Waits for no other call's turn: for the Lease, which thousands of others must not make run out. */
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

interface Connection {
  server: string;
  userAgent: string;
  /** Calls a second on average; after a pause four seconds' worth may go as fast as they come. Watches do not count. */
  qps: number;
  authenticate(): Promise<RequestOptions>;
}

/**
 * Reads the configuration as kubectl does: the file if given, else $KUBECONFIG, else ~/.kube/config, else the pod's service account.
 * Throws {@link SettingsError} for one that cannot be used.
 */
export function connect(options: { kubeconfig?: string | undefined; userAgent: string; qps: number }): KubeClient {
  const config = new KubeConfig();
  try {
    if (options.kubeconfig === undefined) config.loadFromDefault();
    else config.loadFromFile(options.kubeconfig);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new SettingsError(`--kubeconfig is '${options.kubeconfig ?? ''}': accepted is a kubeconfig file (${why})`);
  }
  const cluster = config.getCurrentCluster();
  if (cluster === null) throw new SettingsError('the kubeconfig has no current context: set current-context to a context with a cluster');
  return createKubeClient({
    server: cluster.server.replace(/\/$/, ''),
    userAgent: options.userAgent,
    qps: options.qps,
    authenticate: async () => {
      const https: RequestOptions = {};
      await config.applyToHTTPSOptions(https);
      return https;
    },
  });
}

function createKubeClient(connection: Connection): KubeClient {
  const dispatchers = dispatcherFor(new URL(connection.server).origin);
  const closing = new AbortController();
  const turn = tokenBucket(connection.qps, 4 * connection.qps);

  async function open(
    method: Method,
    path: string,
    query: Record<string, string>,
    options: { signal: AbortSignal; bodyTimeout?: number },
    body?: unknown,
    contentType?: string,
  ) {
    const https = await connection.authenticate();
    const url = new URL(connection.server + path);
    for (const [key, value] of Object.entries(query)) url.searchParams.set(key, value);
    // The keys of the token issuer come as another type of JSON and as nothing else.
    const headers: Record<string, string> = { accept: 'application/json, */*;q=0.5', 'user-agent': connection.userAgent };
    for (const [key, value] of Object.entries(https.headers ?? {})) headers[key.toLowerCase()] = String(value);
    if (typeof https.auth === 'string') headers.authorization = `Basic ${Buffer.from(https.auth).toString('base64')}`;
    if (body !== undefined) headers['content-type'] = contentType ?? 'application/json';
    return request(url, {
      method,
      headers,
      dispatcher: dispatchers.get(https),
      signal: options.signal,
      ...(options.bodyTimeout === undefined ? {} : { bodyTimeout: options.bodyTimeout }),
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  }

  return {
    async call(method, path, options = {}) {
      const { timeoutMs = 30_000 } = options;
      // Not AbortSignal.timeout: that one stays, and fires, long after the call is over.
      const overdue = new AbortController();
      const timer = setTimeout(() => overdue.abort(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
      const signal = AbortSignal.any([closing.signal, overdue.signal, ...(options.signal === undefined ? [] : [options.signal])]);
      try {
        if (options.unpaced !== true) await turn(signal);
        const response = await open(method, path, options.query ?? {}, { signal }, options.body, options.contentType);
        const text = await response.body.text();
        if (response.statusCode >= 400) throw errorOf(response, text);
        return text === '' ? undefined : (JSON.parse(text) as unknown);
      } finally {
        clearTimeout(timer);
      }
    },

    async *watch(path, options) {
      const idle = new AbortController();
      const signal = AbortSignal.any([closing.signal, options.signal, idle.signal]);
      const timer = setTimeout(() => idle.abort(new IdleWatchError(options.inactivityMs)), options.inactivityMs);
      try {
        const query = { ...options.query, watch: 'true' };
        const response = await open('GET', path, query, { signal, bodyTimeout: 0 });
        if (response.statusCode >= 400) throw errorOf(response, await response.body.text());
        for await (const line of splitLines(response.body)) {
          timer.refresh();
          yield JSON.parse(line) as unknown;
        }
      } finally {
        clearTimeout(timer);
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

/**
 * One pool for as long as the TLS material stays the same; a rotated CA or client certificate gets a new one.
 */
function dispatcherFor(origin: string) {
  let current: { key: string; pool: Pool } | undefined;
  return {
    get(https: RequestOptions): Pool {
      const { ca, cert, key, servername, rejectUnauthorized } = https;
      const material = JSON.stringify(
        [ca, cert, key, servername, rejectUnauthorized].map((part) => (part === undefined ? null : String(part))),
      );
      if (current?.key === material) return current.pool;
      const present = (options: object) =>
        Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined && value !== null));
      // Made once: reading certificates for each connection costs more than the connection.
      const tls = { ...present({ servername, rejectUnauthorized }), secureContext: createSecureContext(present({ ca, cert, key })) };
      // The old pool finishes what it has under way and then ends.
      if (current !== undefined) current.pool.close().catch(() => undefined);
      current = {
        key: material,
        pool: new Pool(origin, {
          // undici's HTTP/2 leaves the stream of an aborted call without an error listener: closing then ends the process.
          allowH2: false,
          connect: { ...tls, timeout: 5_000, keepAlive: true, keepAliveInitialDelay: 15_000 },
          headersTimeout: 30_000,
          bodyTimeout: 30_000,
          keepAliveTimeout: 60_000,
        }),
      };
      return current.pool;
    },
    async close() {
      // Every call has just been aborted, so nothing is left to wait for; destroying would make their streams fail with nobody listening.
      await current?.pool.close();
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
