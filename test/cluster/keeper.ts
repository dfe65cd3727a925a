// The process outside of the namespaces that keeps one cluster: makes the namespaces, forwards 127.0.0.1 into them, and cleans up when they end, on
// SIGTERM, or when the process that started it is gone. cluster.ts starts it, with the cluster's folder as argument.
import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, realpathSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { makeUsers } from './access.ts';
import { cacheRoot } from './cache.ts';
import { makeCertificates } from './certificates.ts';
import { makeCgroup, removeCgroup } from './cgroups.ts';
import { controlPlaneFiles, firstServiceAddress } from './components.ts';
import { writeControlPlaneFiles } from './control-plane-files.ts';
import { forward, portOf } from './forward.ts';
import { linkImageStore } from './image-store.ts';
import { breakDeadLock } from './lock.ts';
import { renderSetup, unshareArguments } from './namespace.ts';
import { apiPort, kernelSettings, nodeAddress, nodeName } from './node-config.ts';
import { identify, networkNamespaceOf } from './procfs.ts';
import { lastLines } from './run.ts';
import type { Message } from './settings.ts';
import { parseMessage, readSettings, sockets } from './settings.ts';
import type { ClusterRecord } from './state.ts';
import { clusterPlaces, writeRecord } from './state.ts';

const settings = readSettings(process.argv[2] ?? '');
const { folder, cgroup } = settings;
const places = clusterPlaces(settings.name);
// Sockets are named relative to it.
process.chdir(folder);

const send = (message: Message) => {
  if (process.connected) process.send?.(message);
};

function writeKernelSettings(): void {
  for (const [name, value] of Object.entries(kernelSettings)) {
    const file = path.join(folder, 'kernel', name);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, `${value}\n`);
  }
}

/** The one child of unshare. */
function firstProcessOf(unshare: number): number {
  return Number(readFileSync(`/proc/${unshare}/task/${unshare}/children`, 'utf8').trim().split(' ')[0]);
}

async function prepare(server: string): Promise<string[]> {
  mkdirSync(places.logs, { recursive: true });
  writeKernelSettings();
  makeCgroup(cgroup);
  await linkImageStore(settings.imageStore, path.join(folder, 'containerd'));
  const certificates = await makeCertificates(['127.0.0.1', firstServiceAddress, nodeAddress], new Date());
  writeControlPlaneFiles(controlPlaneFiles(folder), certificates, makeUsers(nodeName), `https://127.0.0.1:${apiPort}`, server);
  const repository = path.resolve(import.meta.dirname, '../..');
  const needed = [folder, cacheRoot(), repository, path.dirname(process.execPath)].map((one) => realpathSync(one));
  return unshareArguments(renderSetup(folder, needed, [process.execPath, path.join(import.meta.dirname, 'inside.ts'), folder]));
}

/** Runs the cluster to its end; returns why it ended by itself, or undefined after a request to end. */
async function keep(record: ClusterRecord): Promise<string | undefined> {
  const unshareLine = await prepare(record.server);
  const log = openSync(path.join(places.logs, 'inside.log'), 'a');
  const unshare = spawn('unshare', unshareLine, { cwd: folder, stdio: ['pipe', 'pipe', log] });
  closeSync(log);
  const gone = new Promise<void>((resolve) => unshare.on('exit', () => resolve()).on('error', () => resolve()));
  const { pid, stdin: input, stdout: messages } = unshare;
  if (pid === undefined || input === null || messages === null) throw new Error('unshare could not be started');
  let failure: string | undefined;
  createInterface({ input: messages }).on('line', (line) => {
    const message = parseMessage(JSON.parse(line));
    if (message === undefined) return;
    if (record.init === null) record.init = identify(firstProcessOf(pid));
    record.networkNamespace = networkNamespaceOf(record.init.pid) ?? null;
    if (message.type === 'failed') failure = message.reason;
    if (message.type === 'ready') record.ready = true;
    writeRecord(folder, record);
    // Cleans up before the failure is reported.
    if (message.type !== 'failed') send(message);
  });

  let isRequested = false;
  const end = () => {
    isRequested = true;
    // The end of its input ends inside.ts, with it the first process and everything in the namespaces; unshare ends last.
    input.end();
  };
  process.on('SIGTERM', end).on('SIGINT', end).on('SIGHUP', end).on('disconnect', end);
  // A starter that is not the owner disconnects first.
  process.on('message', (message) => {
    if (message === 'stay') process.off('disconnect', end);
  });
  if (!process.connected) end();
  input.on('error', () => {});
  await gone;
  return isRequested
    ? undefined
    : (failure ?? `its first process ended:\n${lastLines(readFileSync(path.join(places.logs, 'inside.log'), 'utf8'), 12)}`);
}

async function main(): Promise<void> {
  const api = await forward({ host: '127.0.0.1', port: 0 }, { path: sockets.api });
  const control = await forward({ host: '127.0.0.1', port: 0 }, { path: sockets.control });
  const record: ClusterRecord = {
    keeper: identify(process.pid),
    owner: settings.owned ? identify(process.ppid) : null,
    init: null,
    networkNamespace: null,
    ready: false,
    server: `https://127.0.0.1:${portOf(api)}`,
    control: `http://127.0.0.1:${portOf(control)}`,
  };
  writeRecord(folder, record);
  const failure = await keep(record).catch((error: unknown) => (error instanceof Error ? error.message : String(error)));
  await removeCgroup(cgroup);
  rmSync(places.failedLogs, { recursive: true, force: true });
  if (failure !== undefined) {
    renameSync(places.logs, places.failedLogs);
    send({ type: 'failed', reason: failure.replaceAll(places.logs, places.failedLogs) });
  }
  rmSync(folder, { recursive: true, force: true });
  // A starter that was killed could not release the lock.
  breakDeadLock(places.lock);
}

main().then(
  () => process.exit(0),
  (error: unknown) => {
    console.error(error);
    process.exit(1);
  },
);
