// Creates pods at a rate, however long the answers take.
import { once } from 'node:events';
import { connect } from 'node:http2';
import { buffer } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import type { ControlPlane } from '../../cluster/control-plane.ts';

export interface PodLoad {
  /** Of the pods' names. */
  prefix: string;
  perSecond: number;
  seconds: number;
  labels: Readonly<Record<string, string>>;
}

export interface PodLoadResult {
  /** Of each pod that was created, in milliseconds. */
  times: number[];
  failed: number;
}

export interface PodClient {
  load(load: PodLoad): Promise<PodLoadResult>;
  /** In the encoding of etcd. */
  bytesInEtcd(name: string): Promise<number>;
  close(): void;
}

export const benchNamespace = 'bench';

/** HTTP/2, as the controllers of Kubernetes speak it. A connection for each request would make the API server busy with handshakes of the bench. */
export function connectPodClient({ url, ca, token }: ControlPlane): PodClient {
  const sessions = Array.from({ length: 4 }, () => connect(url, { ca }));
  let turn = 0;
  async function call(
    method: string,
    path: string,
    headers: Record<string, string>,
    body?: unknown,
  ): Promise<{ status: number; answer: Buffer }> {
    turn += 1;
    const request = {
      ':method': method,
      ':path': `/api/v1/namespaces/${benchNamespace}/pods${path}`,
      authorization: `Bearer ${token}`,
      ...headers,
    };
    const stream = sessions[turn % sessions.length]?.request(request);
    if (stream === undefined) throw new Error('there is no session');
    stream.end(body === undefined ? undefined : JSON.stringify(body));
    const [{ ':status': status = 0 }] = (await once(stream, 'response')) as [{ ':status'?: number }];
    return { status, answer: await buffer(stream) };
  }
  async function createPod(body: unknown): Promise<void> {
    const { status, answer } = await call('POST', '', { 'content-type': 'application/json' }, body);
    if (status !== 201) throw new Error(answer.toString());
  }
  return {
    async load({ prefix, perSecond, seconds, labels }) {
      const times: number[] = [];
      const failures = new Map<string, number>();
      const pending: Promise<void>[] = [];
      const began = performance.now();
      for (let index = 0; index < perSecond * seconds; index += 1) {
        const wait = began + (index * 1000) / perSecond - performance.now();
        if (wait > 1) await delay(wait);
        const sent = performance.now();
        const spec = { containers: [{ name: 'app', image: 'app:1' }] };
        pending.push(
          createPod({ apiVersion: 'v1', kind: 'Pod', metadata: { name: `${prefix}-${index}`, labels }, spec }).then(
            () => void times.push(performance.now() - sent),
            (error: unknown) => void failures.set(String(error), (failures.get(String(error)) ?? 0) + 1),
          ),
        );
      }
      await Promise.all(pending);
      for (const [error, count] of failures) console.error(`  ${count} failed: ${error.slice(0, 300)}`);
      return { times, failed: perSecond * seconds - times.length };
    },
    bytesInEtcd: async (name) => (await call('GET', `/${name}`, { accept: 'application/vnd.kubernetes.protobuf' })).answer.length,
    close: () => {
      for (const session of sessions) session.close();
    },
  };
}
