// A real one-node Kubernetes cluster with the Azure emulator, in namespaces of its own: `up`, `attach`, `tearDown`.

import type { StdioOptions } from 'node:child_process';
import { fork } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { findContainerRuntime, findHelm, findKubernetes } from './binaries.ts';
import type { Log } from './cache.ts';
import { cacheRoot } from './cache.ts';
import { removeCgroup } from './cgroups.ts';
import { controlPlaneFiles } from './components.ts';
import { debianPackages } from './debian.ts';
import { imageStore } from './image-store.ts';
import { appImage, canOverlay } from './images.ts';
import { withLock } from './lock.ts';
import { azure, defaultProviderID, nodeName } from './node-config.ts';
import type { ProcessIdentity } from './procfs.ts';
import { isAlive } from './procfs.ts';
import { MissingRequirements, missingForCluster } from './requirements.ts';
import type { Result, RunOptions } from './run.ts';
import { lastLines, run } from './run.ts';
import type { ClusterSettings, ImageArchive } from './settings.ts';
import { parseMessage, readSettings, writeSettings } from './settings.ts';
import type { ClusterRecord } from './state.ts';
import { clusterPlaces, readKeeper, readRecord, writeKeeper } from './state.ts';

export interface UpOptions {
  name: string;
  log: Log;
  /** Images that pods may use, beside the app image, which is always there. */
  images?: ImageArchive[];
  /** `process` (default): the cluster ends with this process, however that ends. `nobody`: it stays until `tearDown`. */
  owner?: 'process' | 'nobody';
  /** ARM id of the node's machine, with `azure://`; by default the first one of the emulator's default state. */
  providerID?: string;
  /** State document of the emulator instead of its default. */
  azureState?: unknown;
  /** For pods with `hostUsers: false`, which Debian's containerd and runc cannot run. */
  userNamespaces?: boolean;
}

export interface Cluster {
  name: string;
  nodeName: string;
  /** Path of an administrator's kubeconfig for use outside of the cluster's namespaces. */
  kubeconfig: string;
  /** Path of kubectl at the cluster's version. */
  kubectlProgram: string;
  helmProgram: string;
  kubectl(args: string[], options?: RunOptions): Promise<Result>;
  helm(args: string[], options?: RunOptions): Promise<Result>;
  /** The emulator's control address, from outside. */
  emulatorControlUrl: string;
  /** ARM and Entra as pods reach them, and the CA they show, PEM. */
  azure: { arm: string; entra: string; imds: string; ca: string };
  /** Logs of every program are in its subfolder `logs`. */
  folder: string;
  /** References of the images the cluster was started with. */
  images: string[];
  /** Debian with a shell, curl and iptables; its command sleeps. */
  appImage: string;
  /** Runs a program inside the cluster's namespaces (network, mounts, processes), as on its node. */
  enter(file: string, args: string[], options?: RunOptions): Promise<Result>;
  down(): Promise<void>;
}

async function untilGone(process_: ProcessIdentity, seconds: number): Promise<boolean> {
  for (const deadline = Date.now() + seconds * 1000; isAlive(process_); await sleep(50)) if (Date.now() > deadline) return false;
  return true;
}

function signal(process_: ProcessIdentity, name: 'SIGTERM' | 'SIGKILL'): void {
  try {
    if (isAlive(process_)) process.kill(process_.pid, name);
  } catch {
    // It ended in between.
  }
}

/** Ends what is left of a cluster; returns whether there was anything. The caller holds the lock. */
async function clean(name: string): Promise<boolean> {
  const places = clusterPlaces(name);
  if (!existsSync(places.folder)) return false;
  const keeper = readKeeper(places.folder);
  if (keeper !== undefined) {
    signal(keeper, 'SIGTERM');
    if (!(await untilGone(keeper, 20))) signal(keeper, 'SIGKILL');
  }
  // A cluster ends by itself without its keeper; this is for one that hangs.
  const init = readRecord(places.folder)?.init ?? undefined;
  if (init !== undefined && !(await untilGone(init, 5))) {
    signal(init, 'SIGKILL');
    await untilGone(init, 10);
  }
  await removeCgroup(places.cgroup);
  rmSync(places.folder, { recursive: true, force: true });
  return true;
}

function lockCluster<T>(name: string, log: Log, work: () => Promise<T>): Promise<T> {
  return withLock(clusterPlaces(name).lock, work, (holder, seconds) => {
    if (seconds % 8 === 0) log(`waiting for process ${holder.pid}, which is starting or ending cluster "${name}": ${seconds} s`);
  });
}

/** Ends a cluster, or what a killed run left of it; returns whether there was anything. */
export function tearDown(name: string, log: Log): Promise<boolean> {
  return lockCluster(name, log, () => clean(name));
}

/** The record of a cluster that is up. */
export function running(name: string): ClusterRecord | undefined {
  const record = readRecord(clusterPlaces(name).folder);
  return record?.ready && isAlive(record.keeper) ? record : undefined;
}

/** Starts the keeper and resolves once the cluster accepts pods. */
function startKeeper(settings: ClusterSettings, log: Log): Promise<void> {
  const keeperLog = path.join(settings.folder, 'keeper.log');
  const output = openSync(keeperLog, 'a');
  const stdio: StdioOptions = ['ignore', output, output, 'ipc'];
  // Without the flags of this process, which may be a test runner's.
  const keeper = fork(path.join(import.meta.dirname, 'keeper.ts'), [settings.folder], { detached: true, stdio, execArgv: [] });
  closeSync(output);
  writeKeeper(settings.folder, keeper.pid ?? 0);
  return new Promise((resolve, reject) => {
    let failure: string | undefined;
    keeper.on('message', (value) => {
      const message = parseMessage(value);
      if (message?.type === 'progress') log(message.line);
      if (message?.type === 'failed') failure = message.reason;
      if (message?.type !== 'ready') return;
      keeper.unref();
      keeper.channel?.unref();
      if (settings.owned) resolve();
      else
        keeper.send('stay', () => {
          keeper.disconnect();
          resolve();
        });
    });
    keeper.on('error', reject);
    keeper.on('exit', () => {
      const reason =
        failure ?? `its keeper ended:\n${existsSync(keeperLog) ? lastLines(readFileSync(keeperLog, 'utf8'), 12) : 'without a word'}`;
      reject(new Error(`cluster "${settings.name}": ${reason}`));
    });
  });
}

/** Finds or builds what every cluster needs, all at once: one compiles for minutes while another one downloads. */
export async function clusterParts(log: Log) {
  const [programs, helm, debian, app] = await Promise.all([findKubernetes(log), findHelm(log), debianPackages('node', log), appImage(log)]);
  return { programs, helm, debian, app };
}

async function makeSettings(options: UpOptions): Promise<ClusterSettings> {
  const { name, log } = options;
  const { folder, cgroup } = clusterPlaces(name);
  const { programs, helm, debian, app } = await clusterParts(log);
  const containerRuntime = options.userNamespaces === true ? await findContainerRuntime(log) : null;
  const others = (options.images ?? []).filter((image) => image.reference !== app.reference);
  const snapshotter = (await canOverlay(cacheRoot())) ? 'overlayfs' : 'native';
  const providerID = options.providerID ?? defaultProviderID;
  const azureStateFile = options.azureState === undefined ? null : path.join(folder, 'azure-state.json');
  const owned = options.owner !== 'nobody';
  const images = [app, ...others];
  const store = await imageStore({ images, snapshotter, debian, containerRuntime }, log);
  return {
    name,
    folder,
    cgroup,
    programs,
    helm,
    debian,
    containerRuntime,
    snapshotter,
    images: images.map(({ reference }) => reference),
    imageStore: store,
    sandboxImage: app.reference,
    providerID,
    azureStateFile,
    owned,
  };
}

/**
 * A new cluster of that name; resolves when it is ready for pods. Ends first what a killed run left, or a cluster that nobody owns. Refuses to replace
 * one whose owner lives.
 */
export async function up(options: UpOptions): Promise<Cluster> {
  const { name, log } = options;
  const missing = await missingForCluster();
  if (missing.length > 0) throw new MissingRequirements('the cluster', missing);
  const { folder } = clusterPlaces(name);
  const settings = await makeSettings(options);
  await lockCluster(name, log, async () => {
    const owner = running(name)?.owner;
    if (owner && isAlive(owner))
      throw new Error(`cluster "${name}" belongs to process ${owner.pid}, which still runs: end that one, or choose another name`);
    if (await clean(name)) log(`ended what was left of cluster "${name}"`);
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    writeSettings(settings);
    if (settings.azureStateFile !== null) writeFileSync(settings.azureStateFile, JSON.stringify(options.azureState));
    log(`starting cluster "${name}" (usually 15 s)`);
    await startKeeper(settings, log).catch(async (error: unknown) => {
      await clean(name);
      throw error;
    });
  });
  return attach(name);
}

/** The running cluster of that name. */
export function attach(name: string): Cluster {
  const record = running(name);
  if (record === undefined) throw new Error(`cluster "${name}" is not up: npm run cluster -- up --name ${name}`);
  const { folder } = clusterPlaces(name);
  const settings = readSettings(folder);
  const files = controlPlaneFiles(folder);
  const withConfig = (options: RunOptions = {}) => ({ ...options, env: { ...options.env, KUBECONFIG: files.adminConfig } });
  const enter = (file: string, args: string[], options: RunOptions = {}) => {
    if (record.init === null || !isAlive(record.init)) throw new Error(`cluster "${name}" has ended`);
    const inside = ['--target', String(record.init.pid), '--net', '--mount', '--pid', '--', file, ...args];
    return run('nsenter', inside, { ...options, env: { ...settings.debian.env, ...options.env } });
  };
  return {
    name,
    nodeName,
    kubeconfig: files.adminConfig,
    kubectlProgram: settings.programs.kubectl,
    helmProgram: settings.helm,
    kubectl: (args, options) => run(settings.programs.kubectl, args, withConfig(options)),
    helm: (args, options) => run(settings.helm, args, withConfig(options)),
    emulatorControlUrl: record.control,
    azure: {
      arm: `https://${azure.arm}`,
      entra: `https://${azure.entra}`,
      imds: `http://${azure.imds}`,
      ca: readFileSync(files.azureCA, 'utf8'),
    },
    folder,
    images: settings.images,
    appImage: settings.sandboxImage,
    enter,
    async down() {
      await tearDown(name, () => {});
    },
  };
}
