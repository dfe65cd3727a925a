// Worker of sidecars.ts: does what a sidecar does until its pod has a token.
import { Agent, request } from 'node:https';
import { setTimeout as delay } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import type { IdentitiesResponse, TokenRequest } from '../../../api/broker.ts';
import { identitiesPath, tokenPath } from '../../../api/broker.ts';
import type { Connection } from './sidecars.ts';

export interface SidecarData extends Connection {
  resource: string;
}
export interface StartedPod {
  pod: string;
  token: string;
}
/** Posted once for each pod; `at` is wall time. */
export interface FirstToken {
  pod: string;
  at: number;
}
/** Posted for each request that the broker does not serve: its status, or the code of the connection's error. */
export interface Refused {
  refused: string;
}

interface Response {
  status: number;
  etag: string | undefined;
  text: string;
}

const { port, ca, servername, resource } = workerData as SidecarData;
/** Handshakes of this thread at a time. Pods have a processor each; with all at once here the broker would close most before this thread goes on. */
const maxConnecting = 40;
let started = 0;
let connecting = 0;
const waiting: (() => void)[] = [];

/** `first`: the first request of a connection, which is answered at once. */
async function connect<T>(first: () => Promise<T>): Promise<T> {
  if (connecting >= maxConnecting) await new Promise<void>((resolve) => waiting.push(resolve));
  connecting += 1;
  try {
    return await first();
  } finally {
    connecting -= 1;
    waiting.shift()?.();
  }
}

function refused(why: unknown): void {
  parentPort?.postMessage({ refused: String(why) } satisfies Refused);
}

async function run({ pod, token }: StartedPod): Promise<void> {
  started += 1;
  // Addresses of a few nodes: the broker holds 500 connections of one.
  const agent = new Agent({ keepAlive: true, maxSockets: 1, ca, servername, localAddress: `127.0.1.${1 + (started % 8)}` });
  const call = (method: string, path: string, headers: Record<string, string> = {}, body?: TokenRequest) =>
    new Promise<Response>((resolve, reject) => {
      const sent = request(
        {
          host: '127.0.0.1',
          port,
          agent,
          method,
          path,
          headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...headers },
        },
        (response) => {
          let text = '';
          response.setEncoding('utf8').on('data', (part: string) => {
            text += part;
          });
          response.on('end', () => resolve({ status: response.statusCode ?? 0, etag: response.headers.etag, text }));
          response.on('error', reject);
        },
      );
      sent.on('error', reject).end(body === undefined ? undefined : JSON.stringify(body));
    });
  try {
    await untilToken(call);
  } finally {
    agent.destroy();
  }
  parentPort?.postMessage({ pod, at: Date.now() } satisfies FirstToken);
}

type Call = (method: string, path: string, headers?: Record<string, string>, body?: TokenRequest) => Promise<Response>;

async function untilToken(call: Call): Promise<void> {
  const identity = await assigned(call);
  for (let round = 1; ; round += 1) {
    const { status } = await call('POST', tokenPath, {}, { identity, resource });
    if (status === 200) return;
    refused(status);
    await delay(retryMs(round));
  }
}

/** The key of the pod's identity, once it is Assigned. */
async function assigned(call: Call): Promise<string> {
  let known: string | undefined;
  for (let round = 1; ; round += 1) {
    const poll = () => call('GET', `${identitiesPath}?wait=60`, known === undefined ? {} : { 'if-none-match': known });
    const { status, etag, text } = await (known === undefined ? connect(poll) : poll());
    if (status === 200) {
      known = etag;
      const { identities } = JSON.parse(text) as IdentitiesResponse;
      const row = identities.find(({ state, source }) => state === 'Assigned' && source === 'broker');
      if (row !== undefined) return `${row.namespace}/${row.name}`;
    } else if (status !== 304) {
      refused(status);
      await delay(retryMs(round));
    }
  }
}

/** As the sidecar waits while it knows nothing of its pod. */
const retryMs = (round: number): number => Math.max(250, Math.random() * Math.min(5_000, 250 * 2 ** round));

parentPort?.on('message', (pod: StartedPod) => {
  const attempt = (round: number): Promise<unknown> =>
    run(pod).catch((error: NodeJS.ErrnoException) => {
      refused(error.code ?? error.message);
      return delay(retryMs(round)).then(() => attempt(round + 1));
    });
  void attempt(1);
});
