// What lies between a pod and its token, for tests that ask for one: the broker behind its Service, the bound token of the pod, its sidecar.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { Agent, request } from 'undici';
import { brokerAudience, caBundleConfigMapName, caBundleKey } from '../../../api/names.ts';
import { stringAt } from '../../../lib/kube/objects.ts';
import { configMaps, resourcePath } from '../../../lib/kube/resources.ts';
import { forward, portOf } from '../../cluster/forward.ts';
import { programFile } from '../../harness/bundles.ts';
import type { NodeProgram, RunningProgram } from '../../harness/program.ts';
import { startProgram } from '../../harness/program.ts';
import { boundTokenOf } from '../../harness/service-account.ts';
import { eventually, limitSeconds } from '../../harness/wait.ts';
import type { RunningProxy } from '../sidecar/process.ts';
import { startHostEndpoint, startProxy } from '../sidecar/process.ts';
import type { Harness } from './harness/harness.ts';
import { isAbsent } from './harness/objects.ts';

/** Flag of the controller: it issues the certificate of the broker for a name that leads to this machine. */
export const serviceFlag = '--broker-service=localhost';

export interface SidecarOptions {
  namespace?: string;
  /** IMDS of the machine that the pod runs on. */
  imds?: string;
  flags?: string[];
}

export interface BrokerService {
  /** Port of the Service on 127.0.0.1. */
  readonly port: number;
  /** Starts another replica of the broker; new connections go to it. Resolves when it is ready, for which a controller must run. */
  startReplica(program?: NodeProgram & { flags?: string[] }, readySeconds?: number): Promise<RunningProgram>;
  /** The sidecar of a pod that exists, as a process; it ends with the test. */
  startSidecar(test: TestContext, pod: string, options?: SidecarOptions): Promise<RunningProxy>;
  /** The node endpoint as a process, with the token of this pod in `default`; it ends with the test. */
  startNodeEndpoint(test: TestContext, pod: string, options: { port: number; account: string; flags?: string[] }): Promise<RunningProxy>;
  /** Sends what the sidecar of a pod in `default` would send, and returns the status of the response. */
  post(pod: string, path: string, body: unknown, account?: string): Promise<number>;
  stop(): Promise<void>;
}

export async function serveBroker(harness: Harness): Promise<BrokerService> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'broker-'));
  await writeFile(path.join(folder, 'ca.pem'), harness.emulator.ca);
  const settings = {
    kubeconfig: harness.plane.kubeconfig,
    namespace: 'default',
    'broker-listen': '127.0.0.1:0',
    'probes-listen': '127.0.0.1:0',
    'metrics-listen': '127.0.0.1:0',
    'drain-delay': '0',
    'entra-endpoint': harness.emulator.urls.entra,
    'azure-ca-file': path.join(folder, 'ca.pem'),
  };
  const target = { host: '127.0.0.1', port: 0 };
  const server = await forward({ host: '127.0.0.1', port: 0 }, target);
  const port = portOf(server);
  const replicas = new Set<RunningProgram>();

  const boundToken = (namespace: string, name: string, account?: string) =>
    boundTokenOf(harness.client, { namespace, name, ...(account === undefined ? {} : { serviceAccount: account }) }, brokerAudience);

  async function bundle(): Promise<string> {
    const path = resourcePath(configMaps, { namespace: 'default', name: caBundleConfigMapName });
    await eventually(async () => !(await isAbsent(harness.client, path)), 'the CA bundle');
    return stringAt(await harness.client.call('GET', path), 'data', caBundleKey) ?? '';
  }

  return {
    port,
    async startReplica({ file, nodeFlags = [], env = {}, flags = [] } = {}, readySeconds = limitSeconds) {
      const args = Object.entries(settings).map(([name, value]) => `--${name}=${value}`);
      const command = [process.execPath, ...nodeFlags, file ?? (await programFile('broker')), ...args, ...flags];
      const replica = startProgram({ name: 'broker', command, env: { ...process.env, ...env } });
      replicas.add(replica);
      const { broker, probes } = await replica.logged((record) => record.msg === 'started');
      const isReady = async () => (await fetch(`http://127.0.0.1:${String(probes)}/readyz`)).status === 200;
      await eventually(isReady, 'a broker that is ready', { seconds: readySeconds });
      target.port = Number(broker);
      return replica;
    },
    async startSidecar(test, pod, { namespace = 'default', imds = harness.emulator.urls.imds, flags = [] } = {}) {
      const ca = await bundle();
      const token = await boundToken(namespace, pod);
      const broker = { url: `https://localhost:${port}`, address: `127.0.0.1:${port}`, ca, token };
      const sidecar = await startProxy({ imds, broker, flags });
      test.after(() => sidecar.stop());
      return sidecar;
    },
    async startNodeEndpoint(test, pod, { port: own, account, flags = [] }) {
      const ca = await bundle();
      const token = await boundToken('default', pod, account);
      const target = { url: `https://localhost:${port}`, address: '', ca, token };
      const endpoint = await startHostEndpoint({ imds: harness.emulator.urls.imds, broker: target, port: own, flags });
      test.after(() => endpoint.stop());
      return endpoint;
    },
    async post(pod, path, body, account) {
      const dispatcher = new Agent({ connect: { ca: await bundle() } });
      const headers = { authorization: `Bearer ${await boundToken('default', pod, account)}`, 'content-type': 'application/json' };
      const answer = await request(`https://localhost:${port}${path}`, {
        method: 'POST',
        headers,
        body: JSON.stringify(body),
        dispatcher,
      });
      await answer.body.dump();
      await dispatcher.close();
      return answer.statusCode;
    },
    async stop() {
      await Promise.all([...replicas].map((replica) => replica.stop('SIGKILL')));
      server.close();
      await rm(folder, { recursive: true });
    },
  };
}
