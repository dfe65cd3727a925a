// Creates pods at a rate, however long the answers take.
import { once } from 'node:events';
import { connect } from 'node:http2';
import { text } from 'node:stream/consumers';
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
  close(): void;
}

export const benchNamespace = 'bench';

/** HTTP/2, as the controllers of Kubernetes speak it. A connection for each request would make the API server busy with handshakes of the bench. */
export function connectPodClient({ url, ca, token }: ControlPlane): PodClient {
  const sessions = Array.from({ length: 4 }, () => connect(url, { ca }));
  let turn = 0;
  async function createPod(body: unknown): Promise<void> {
    turn += 1;
    const stream = sessions[turn % sessions.length]?.request({
      ':method': 'POST',
      ':path': `/api/v1/namespaces/${benchNamespace}/pods`,
      authorization: `Bearer ${token}`,
      'content-type': 'application/json',
    });
    if (stream === undefined) throw new Error('there is no session');
    stream.end(JSON.stringify(body));
    const [headers] = (await once(stream, 'response')) as [{ ':status'?: number }];
    const answer = await text(stream);
    if (headers[':status'] !== 201) throw new Error(answer);
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
    close: () => {
      for (const session of sessions) session.close();
    },
  };
}
