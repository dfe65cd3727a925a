// Scripted sidecars in a thread of their own, one for each pod, so that they do not hold up the bench.
import { once } from 'node:events';
import path from 'node:path';
import { Worker } from 'node:worker_threads';
import { brokerAudience, brokerServiceName, caBundleConfigMapName, caBundleKey } from '../../../api/names.ts';
import { stringAt } from '../../../lib/kube/objects.ts';
import { configMaps, resourcePath } from '../../../lib/kube/resources.ts';
import { boundTokenOf } from '../../harness/service-account.ts';
import type { Harness } from '../../integration/controller/harness/harness.ts';
import { resource } from './resource.ts';
import type { FirstToken, Refused, SidecarData, StartedPod } from './sidecar-worker.ts';

export interface Connection {
  port: number;
  ca: string;
  servername: string;
}

export interface Sidecars {
  connection: Connection;
  /** The token of a pod for the broker. */
  tokenOf(pod: string): Promise<string>;
  /** Starts the sidecar of a pod that exists. `firstToken` resolves with the wall time at which it has one. */
  start(pod: string): Promise<{ firstToken: Promise<number> }>;
  /** Requests that the broker did not serve, by status or error. */
  refusals: ReadonlyMap<string, number>;
  stop(): Promise<void>;
}

/** `port`: of the broker on 127.0.0.1. */
export async function startSidecars({ client }: Harness, port: number): Promise<Sidecars> {
  const bundle = await client.call('GET', resourcePath(configMaps, { namespace: 'default', name: caBundleConfigMapName }));
  const connection = { port, ca: stringAt(bundle, 'data', caBundleKey) ?? '', servername: `${brokerServiceName}.default.svc` };
  const workerData: SidecarData = { ...connection, resource };
  const worker = new Worker(path.join(import.meta.dirname, 'sidecar-worker.ts'), { workerData });
  await once(worker, 'online');
  const waiting = new Map<string, (at: number) => void>();
  const refusals = new Map<string, number>();
  worker.on('message', (message: FirstToken | Refused) => {
    if ('refused' in message) refusals.set(message.refused, (refusals.get(message.refused) ?? 0) + 1);
    else waiting.get(message.pod)?.(message.at);
  });
  const tokenOf = (pod: string) => boundTokenOf(client, { namespace: 'default', name: pod }, brokerAudience);
  return {
    connection,
    tokenOf,
    refusals,
    async start(pod) {
      const token = await tokenOf(pod);
      const { promise: firstToken, resolve } = Promise.withResolvers<number>();
      waiting.set(pod, resolve);
      worker.postMessage({ pod, token } satisfies StartedPod);
      return { firstToken };
    },
    async stop() {
      await worker.terminate();
    },
  };
}
