// A release of the chart in a real API server, whose three programs run as processes with the variables and rights that the chart gives them. The API
// server calls the Service of the webhook by way of a proxy, since no node forwards its address. A fake of kubelet mounts Secrets for the controller.
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import type { Server } from 'node:http';
import { createServer } from 'node:http';
import { request } from 'node:https';
import { connect as connectTcp } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { connect as connectTls } from 'node:tls';
import { identitiesPath } from '../../../api/broker.ts';
import { bindingLabel, brokerAudience, brokerServiceName, proxyContainerName, webhookServiceName } from '../../../api/names.ts';
import { at, stringAt } from '../../../common/records.ts';
import type { KubeClient } from '../../../lib/kube/client.ts';
import { connect } from '../../../lib/kube/client.ts';
import { startInformer } from '../../../lib/kube/informer.ts';
import { endpointSlices, namespaces, pods, resourcePath, secrets } from '../../../lib/kube/resources.ts';
import { decodeSecretData } from '../../../lib/kube/secret-data.ts';
import { silentLogger } from '../../../lib/log.ts';
import { chart, required } from '../../chart/render.ts';
import { findHelm } from '../../cluster/binaries.ts';
import type { ControlPlane } from '../../cluster/control-plane.ts';
import { startControlPlane } from '../../cluster/control-plane.ts';
import { mustRun } from '../../cluster/run.ts';
import { programFile } from '../../harness/bundles.ts';
import { createEndpointSlice } from '../../harness/endpoint-slice.ts';
import type { RunningProgram } from '../../harness/program.ts';
import { startProgram } from '../../harness/program.ts';
import { boundTokenOf, kubeconfigOf } from '../../harness/service-account.ts';
import { eventually } from '../../harness/wait.ts';

export const releaseNamespace = 'identity-system';
export const brokerHost = `${brokerServiceName}.${releaseNamespace}.svc`;
const team = 'team';

type ProgramName = 'controller' | 'webhook' | 'broker';

export interface ServingProgram extends RunningProgram {
  /** Of the TLS endpoint. */
  readonly port: number;
  readyz(): Promise<{ status: number; text: string }>;
}
export type Programs = Record<ProgramName, ServingProgram>;

export interface Release {
  readonly plane: ControlPlane;
  readonly client: KubeClient;
  /** The programs that run now. */
  readonly programs: Programs;
  /**
   * `helm upgrade`, then new programs beside the old ones: each old one goes when its successor is ready, as a Deployment does it. `beforeBroker`
   * runs while the new broker is ready and the old one still serves.
   */
  upgrade(values: string[], beforeBroker?: () => Promise<void>): Promise<void>;
  helm(...args: string[]): Promise<string>;
  /** Creates a labelled pod, by default in a dry run, and returns the CA that its sidecar got. Throws where the pod is refused or not injected. */
  createPod(name?: string): Promise<string>;
  /** What the sidecar of a pod that exists would learn from this replica of the broker: a bundle. Rejects where `ca` does not verify the broker. */
  poll(pod: string, ca: string, port?: number): Promise<string>;
  stop(): Promise<void>;
}

export async function startRelease(prepare: (plane: ControlPlane) => Promise<void>): Promise<Release> {
  const folder = mkdtempSync(path.join(tmpdir(), 'release-'));
  const target = { port: 0 };
  const proxy = await startEgressProxy(path.join(folder, 'egress.sock'), target);
  const plane = await startControlPlane({ apiServerFlags: { 'egress-selector-config-file': egressConfiguration(folder) } });
  const client = connect({ kubeconfig: plane.kubeconfig, userAgent: 'test', qps: 2_000 });
  const program = await findHelm(() => undefined);
  const helm = (...args: string[]) => mustRun(program, args, { env: { KUBECONFIG: plane.kubeconfig }, timeoutSeconds: 120 });
  const running = new Set<RunningProgram>();
  const kubelet = startFakeKubelet(client, path.join(folder, 'mounted'));
  let programs: Partial<Programs> = {};

  const start = async (name: ProgramName) => {
    const started = await startFromChart({ name, plane, client, directory: path.join(folder, 'mounted') });
    running.add(started);
    return started;
  };
  const replace = async (name: ProgramName, next: ServingProgram) => {
    const old = programs[name];
    programs = { ...programs, [name]: next };
    if (name === 'webhook') target.port = next.port;
    await old?.stop();
  };

  const release: Release = {
    plane,
    client,
    helm,
    get programs() {
      const { controller, webhook, broker } = programs;
      if (controller === undefined || webhook === undefined || broker === undefined) throw new Error('no program runs yet');
      return { controller, webhook, broker };
    },
    async upgrade(values, beforeBroker = async () => undefined) {
      const common = [
        '-n',
        releaseNamespace,
        '--create-namespace',
        ...required,
        '--set',
        'operationMode=managed,controller.leaseDuration=3',
      ];
      const lease = ['--set', 'controller.leaseRenew=2,controller.leaseRetry=1', ...values.flatMap((value) => ['--set', value])];
      await helm('upgrade', '--install', 'identity', chart, ...common, ...lease);
      await kubelet.mount(await deploymentOf(client, 'controller'));
      // The old leader gives its Lease back when it ends, and the new one is ready once the webhook is registered.
      const controller = await start('controller');
      await replace('controller', controller);
      const [webhook, broker] = [await start('webhook'), await start('broker')];
      await untilReady(webhook, 'webhook');
      await replace('webhook', webhook);
      await putEndpoint(client);
      await untilReady(broker, 'broker');
      await beforeBroker();
      await replace('broker', broker);
      await untilReady(controller, 'controller');
    },
    async createPod(name) {
      const query = name === undefined ? { query: { dryRun: 'All' } } : {};
      const made = await client.call('POST', resourcePath(pods, { namespace: team }), { body: podOf(name ?? 'dry'), ...query });
      return caOf(made);
    },
    async poll(pod, ca, port = release.programs.broker.port) {
      const token = await boundTokenOf(client, { namespace: team, name: pod }, brokerAudience);
      return pollBundle({ port, ca, token });
    },
    async stop() {
      await kubelet.stop();
      await Promise.all([...running].map((one) => one.stop('SIGKILL')));
      await client.close();
      await plane.stop();
      proxy.close();
      rmSync(folder, { recursive: true });
    },
  };
  try {
    await prepare(plane);
    await client.call('POST', resourcePath(namespaces), { body: { metadata: { name: team } } });
    await eventually(() => exists(client, `/api/v1/namespaces/${team}/serviceaccounts/default`), 'the service account');
    return release;
  } catch (error) {
    await release.stop();
    throw error;
  }
}

const podOf = (name: string) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, labels: { [bindingLabel]: 'reader' } },
  spec: { containers: [{ name: 'app', image: 'app:1' }] },
});

function caOf(pod: unknown): string {
  const containers = [at(pod, 'spec', 'initContainers'), at(pod, 'spec', 'containers')].flatMap((list) =>
    Array.isArray(list) ? list : [],
  );
  const args = at(
    containers.find((container: unknown) => stringAt(container, 'name') === proxyContainerName),
    'args',
  );
  const flag = '--broker-ca=';
  const given = Array.isArray(args) ? args.map(String).find((argument) => argument.startsWith(flag)) : undefined;
  if (given === undefined) throw new Error(`the pod is not injected: ${JSON.stringify(pod).slice(0, 500)}`);
  return given.slice(flag.length);
}

/** Serial number of what is served under this name on 127.0.0.1. Rejects where `ca` does not verify it. */
export function servedSerial(port: number, servername: string, ca: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connectTls({ host: '127.0.0.1', port, servername, ca }, () => {
      const { serialNumber } = socket.getPeerCertificate();
      socket.destroy();
      resolve(serialNumber);
    });
    socket.once('error', reject);
  });
}

function pollBundle({ port, ca, token }: { port: number; ca: string; token: string }): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port, servername: brokerHost, ca, agent: false, path: identitiesPath };
    const sent = request({ ...options, headers: { authorization: `Bearer ${token}` } }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (part: string) => {
        text += part;
      });
      response.on('end', () => {
        const bundle = response.statusCode === 200 ? stringAt(JSON.parse(text), 'caBundle') : undefined;
        if (bundle === undefined) reject(new Error(`HTTP ${response.statusCode} ${text}`));
        else resolve(bundle);
      });
    });
    sent.once('error', reject).end();
  });
}

async function exists(client: KubeClient, object: string): Promise<boolean> {
  return client.call('GET', object).then(
    () => true,
    () => false,
  );
}

async function untilReady(program: ServingProgram, name: string): Promise<void> {
  let last = '';
  await eventually(async () => {
    const { status, text } = await program.readyz();
    last = text;
    return status === 200;
  }, name).catch((error: unknown) => {
    throw new Error(`the ${name} does not get ready: ${last}`, { cause: error });
  });
}

const deploymentOf = (client: KubeClient, name: string) =>
  client.call('GET', `/apis/apps/v1/namespaces/${releaseNamespace}/deployments/aad-pod-identity-${name}`);

interface ChartProgram {
  name: ProgramName;
  plane: ControlPlane;
  client: KubeClient;
  /** Where the controller's volume is. */
  directory: string;
}

async function startFromChart({ name, plane, client, directory }: ChartProgram): Promise<ServingProgram> {
  const [container] = at(await deploymentOf(client, name), 'spec', 'template', 'spec', 'containers') as {
    env: { name: string; value?: string }[];
  }[];
  const env = Object.fromEntries((container?.env ?? []).flatMap(({ name: key, value }) => (value === undefined ? [] : [[key, value]])));
  const serviceAccount = `aad-pod-identity-${name}`;
  const kubeconfig = await kubeconfigOf({ plane, client, namespace: releaseNamespace, name: serviceAccount });
  const listeners = {
    controller: ['probes', 'metrics'],
    webhook: ['admission', 'probes', 'metrics'],
    broker: ['broker', 'probes', 'metrics'],
  };
  const program = startProgram({
    name,
    command: [
      process.execPath,
      await programFile(name),
      `--kubeconfig=${kubeconfig}`,
      `--namespace=${releaseNamespace}`,
      ...(name === 'controller' ? [`--certificates-directory=${directory}`] : ['--drain-delay=3']),
      ...listeners[name].map((listener) => `--${listener}-listen=127.0.0.1:0`),
    ],
    env: { PATH: process.env.PATH, ...env },
  });
  const record = await program.logged(({ msg }) => msg === 'started' || msg === 'listening');
  const probes = Number(record.probes ?? record.probesPort);
  return {
    ...program,
    port: Number(record.broker ?? record.admissionPort ?? 0),
    async readyz() {
      const response = await fetch(`http://127.0.0.1:${probes}/readyz`);
      return { status: response.status, text: await response.text() };
    },
  };
}

/** As the API server would make it of a webhook pod that is ready. */
async function putEndpoint(client: KubeClient): Promise<void> {
  const name = 'webhook-ready';
  if (await exists(client, resourcePath(endpointSlices, { namespace: releaseNamespace, name }))) return;
  await createEndpointSlice(client, { namespace: releaseNamespace, name, service: webhookServiceName });
}

/** Projects the Secrets of the volume `certificates` of a Deployment into a folder, and follows them. */
function startFakeKubelet(client: KubeClient, folder: string) {
  let sources: { name: string; key: string; path: string }[] = [];
  let versions = 0;
  const all = startInformer({
    client,
    log: silentLogger,
    resource: secrets,
    namespace: releaseNamespace,
    project: decodeSecretData,
  });
  /** Exchanges a link, so that a reader never finds half of a version. */
  const write = () => {
    versions += 1;
    const version = `${folder}-${versions}`;
    mkdirSync(version);
    for (const { name, key, path: file } of sources) {
      const text = all.get(`${releaseNamespace}/${name}`)?.[key];
      if (text === undefined) continue;
      mkdirSync(path.dirname(path.join(version, file)), { recursive: true });
      writeFileSync(path.join(version, file), text);
    }
    symlinkSync(version, `${folder}-new`);
    renameSync(`${folder}-new`, folder);
  };
  all.onChange(write);
  return {
    async mount(deployment: unknown) {
      await all.whenSynced();
      const volumes = at(deployment, 'spec', 'template', 'spec', 'volumes');
      const volume = Array.isArray(volumes) ? volumes.find((one: unknown) => stringAt(one, 'name') === 'certificates') : undefined;
      const projected = at(volume, 'projected', 'sources');
      sources = (Array.isArray(projected) ? projected : []).flatMap((source: unknown) => {
        const items = at(source, 'secret', 'items');
        const name = stringAt(source, 'secret', 'name') ?? '';
        return (Array.isArray(items) ? items : []).map((item: unknown) => ({
          name,
          key: stringAt(item, 'key') ?? '',
          path: stringAt(item, 'path') ?? '',
        }));
      });
      write();
    },
    stop: () => all.stop(),
  };
}

/** What the API server calls in the cluster goes through a socket: https://kubernetes.io/docs/tasks/extend-kubernetes/setup-konnectivity/. */
function egressConfiguration(folder: string): string {
  const file = path.join(folder, 'egress.json');
  const transport = { uds: { udsName: path.join(folder, 'egress.sock') } };
  const egressSelections = [{ name: 'cluster', connection: { proxyProtocol: 'HTTPConnect', transport } }];
  writeFileSync(file, JSON.stringify({ apiVersion: 'apiserver.k8s.io/v1beta1', kind: 'EgressSelectorConfiguration', egressSelections }));
  return file;
}

async function startEgressProxy(socketPath: string, target: { port: number }): Promise<Server> {
  const server = createServer().on('connect', (_request, socket) => {
    const upstream = connectTcp(target.port, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      socket.pipe(upstream).pipe(socket);
    });
    for (const one of [socket, upstream]) one.on('error', () => [socket, upstream].forEach((each) => void each.destroy()));
  });
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  return server;
}
