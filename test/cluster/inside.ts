// The supervisor inside the cluster's namespaces: starts every program, waits until the node accepts pods, and runs until its input ends. The setup of
// namespace.ts starts it. It reports its progress on stdout, one JSON message a line.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseKubeconfig } from './access.ts';
import {
  apiServer,
  controllerManager,
  controlPlaneFiles,
  etcd,
  issuer,
  publicIssuerBinding,
  roleBindingsPath,
  scheduler,
} from './components.ts';
import { forward } from './forward.ts';
import { containerdEnv } from './image-store.ts';
import { azureEmulator, containerd, kubelet, kubeProxy } from './node-components.ts';
import {
  apiPort,
  azure,
  cniConfig,
  containerdConfig,
  containerdSocket,
  kubeletConfig,
  kubeProxyConfig,
  nodeAddress,
  nodeName,
} from './node-config.ts';
import type { Command, Running } from './processes.ts';
import { start, untilReady } from './processes.ts';
import { apiServerReady, ask, defaultServiceAccountExists, etcdReady, nodeReady } from './ready.ts';
import { mustRun } from './run.ts';
import type { Message } from './settings.ts';
import { readSettings, sockets } from './settings.ts';

const settings = readSettings(process.argv[2] ?? '');
const { folder, programs, debian, containerRuntime } = settings;
const files = controlPlaneFiles(folder);
// Sockets are named relative to it.
process.chdir(folder);
Object.assign(process.env, containerdEnv(settings));

const send = (message: Message) => process.stdout.write(`${JSON.stringify(message)}\n`);
const progress = (line: string) => send({ type: 'progress', line });

function launch(command: Command): Running {
  return start(command, path.join(folder, 'logs', `${command.name}.log`));
}

function writeNodeFiles(): void {
  const write = (name: string, text: string) => writeFileSync(path.join(folder, name), text);
  mkdirSync(path.join(folder, 'cni'), { recursive: true });
  const { sandboxImage, snapshotter, cgroup, providerID } = settings;
  const runc = containerRuntime?.runc ?? path.join(debian.root, 'usr/sbin/runc');
  const cniPrograms = path.join(debian.root, 'usr/lib/cni');
  write('containerd.toml', containerdConfig({ folder, snapshotter, sandboxImage, runc, cniPrograms }));
  write('cni/pods.conflist', JSON.stringify(cniConfig(folder)));
  write('kubelet.json', JSON.stringify(kubeletConfig({ folder, cgroup: `/${cgroup}`, clientCA: files.ca, providerID })));
  write('kube-proxy.json', JSON.stringify(kubeProxyConfig(files.kubeProxyConfig)));
  write('resolv.conf', '');
}

async function startNode(): Promise<Running> {
  const runtime = launch(containerd());
  await untilReady(runtime, async () => (await mustRun('ctr', ['--address', containerdSocket, 'version'])) !== '', 30);
  return runtime;
}

async function startAll(): Promise<Running[]> {
  const emulator = launch(azureEmulator(files.azureCA, files.ca, settings.azureStateFile));
  const url = `https://127.0.0.1:${apiPort}`;
  const etcdUrl = 'http://127.0.0.1:2379';
  const store = launch(etcd(programs.etcd, files, etcdUrl, 'http://127.0.0.1:2380'));
  const runtime = startNode();
  // The first failure is reported; a later one must not end the process unhandled.
  runtime.catch(() => {});
  await untilReady(store, () => etcdReady(etcdUrl), 30);
  const server = launch(
    apiServer(programs['kube-apiserver'], files, etcdUrl, { bind: '0.0.0.0', port: apiPort, advertise: nodeAddress }, {}),
  );
  const { ca, token } = parseKubeconfig(readFileSync(files.adminConfig, 'utf8'));
  await untilReady(server, () => apiServerReady(url, ca, token), 90);
  progress('control plane answers');
  const manager = launch(controllerManager(programs['kube-controller-manager'], files));
  const rest = [launch(scheduler(programs['kube-scheduler'], files)), launch(kubeProxy(programs['kube-proxy'], folder))];
  const node = launch(kubelet(programs.kubelet, folder, files.kubeletConfig));
  await untilReady(emulator, async () => (await ask(`http://${azure.control}/state`)).status === 200, 30);
  await publishIssuer(url, ca, token);
  await untilReady(manager, () => defaultServiceAccountExists(url, ca, token), 60);
  const started = [emulator, store, await runtime, server, manager, ...rest, node];
  await untilReady(node, () => nodeReady(url, ca, token, nodeName), 90);
  return started;
}

/** Lets the emulated Entra exchange tokens of the cluster: whoever asks may read its keys, and the emulator knows where they are. */
async function publishIssuer(url: string, ca: string, token: string): Promise<void> {
  const made = await ask(`${url}${roleBindingsPath}`, { ca, token, method: 'POST', body: JSON.stringify(publicIssuerBinding) });
  if (made.status !== 201) throw new Error(`cluster role binding: ${made.status} ${made.body}`);
  const state = { issuers: [{ issuer, url }] };
  const known = await ask(`http://${azure.control}/state`, { method: 'PATCH', body: JSON.stringify(state) });
  if (known.status !== 200) throw new Error(`state of the emulator: ${known.status} ${known.body}`);
}

process.stdin.on('end', () => process.exit(0)).resume();
writeNodeFiles();
await forward({ path: sockets.api }, { host: '127.0.0.1', port: apiPort });
const [host = '', port = ''] = azure.control.split(':');
await forward({ path: sockets.control }, { host, port: Number(port) });
try {
  const all = await startAll();
  send({ type: 'ready' });
  // When one program ends, the whole cluster ends; its logs stay.
  const first = await Promise.race(all.map(async (one) => `${one.name} ${await one.exited}`));
  throw new Error(first);
} catch (error) {
  send({ type: 'failed', reason: error instanceof Error ? error.message : String(error) });
  process.exitCode = 1;
  process.stdin.destroy();
  process.exit();
}
