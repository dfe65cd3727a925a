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

interface Response {
  status: number;
  etag: string | undefined;
  text: string;
}

const { port, ca, servername, resource } = workerData as SidecarData;
let started = 0;

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
  const identity = await assigned(call);
  for (;;) {
    const { status } = await call('POST', tokenPath, {}, { identity, resource });
    if (status === 200) break;
    await delay(100);
  }
  parentPort?.postMessage({ pod, at: Date.now() } satisfies FirstToken);
  agent.destroy();
}

/** The key of the pod's identity, once it is Assigned. */
async function assigned(call: (method: string, path: string, headers?: Record<string, string>) => Promise<Response>): Promise<string> {
  let known: string | undefined;
  for (;;) {
    const { status, etag, text } = await call('GET', `${identitiesPath}?wait=60`, known === undefined ? {} : { 'if-none-match': known });
    if (status === 200) {
      known = etag;
      const { identities } = JSON.parse(text) as IdentitiesResponse;
      const row = identities.find(({ state, source }) => state === 'Assigned' && source === 'broker');
      if (row !== undefined) return `${row.namespace}/${row.name}`;
    } else if (status !== 304) await delay(50);
  }
}

parentPort?.on('message', (pod: StartedPod) => {
  const attempt = () => run(pod).catch(() => setTimeout(attempt, 100));
  void attempt();
});
