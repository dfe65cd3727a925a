// The process that keeps one cluster, outside its namespaces: makes the namespaces, forwards 127.0.0.1 into them, and tidies up when they end, when
// it is told to (SIGTERM), or when the process that started it is gone. Started by cluster.ts, with the cluster's folder as argument.
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
import { renderSetup, unshareArguments } from './namespace.ts';
import { apiPort, kernelSettings, nodeAddress, nodeName } from './node-config.ts';
import { identify, networkNamespaceOf } from './procfs.ts';
import type { Message } from './settings.ts';
import { parseMessage, readSettings, sockets } from './settings.ts';
import type { ClusterRecord } from './state.ts';
import { clusterPlaces, writeRecord } from './state.ts';

const settings = readSettings(process.argv[2] ?? '');
const { folder, cgroup } = settings;
const places = clusterPlaces(settings.name);
// Sockets are named relative to it.
process.chdir(folder);

const tell = (message: Message) => {
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

async function keep(): Promise<void> {
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
  mkdirSync(places.logs, { recursive: true });
  writeKernelSettings();
  makeCgroup(cgroup);
  const certificates = await makeCertificates(['127.0.0.1', firstServiceAddress, nodeAddress], new Date());
  writeControlPlaneFiles(controlPlaneFiles(folder), certificates, makeUsers(nodeName), `https://127.0.0.1:${apiPort}`, record.server);

  const needed = [folder, cacheRoot(), path.resolve(import.meta.dirname, '../..'), path.dirname(process.execPath)].map((one) => realpathSync(one));
  const program = [process.execPath, path.join(import.meta.dirname, 'inside.ts'), folder];
  const log = openSync(path.join(places.logs, 'inside.log'), 'a');
  const unshare = spawn('unshare', unshareArguments(renderSetup(folder, needed, program)), { cwd: folder, stdio: ['pipe', 'pipe', log] });
  const { stdin: input, stdout: messages } = unshare;
  if (input === null || messages === null) throw new Error('unshare could not be started');
  closeSync(log);
  const gone = new Promise<void>((resolve) => unshare.on('exit', () => resolve()).on('error', () => resolve()));
  let failure: string | undefined;
  createInterface({ input: messages }).on('line', (line) => {
    const message = parseMessage(JSON.parse(line));
    if (message === undefined) return;
    if (message.type === 'failed') failure = message.reason;
    if (message.type === 'ready') {
      const init = firstProcessOf(unshare.pid ?? 0);
      Object.assign(record, { ready: true, init: identify(init), networkNamespace: networkNamespaceOf(init) ?? null });
      writeRecord(folder, record);
    }
    if (message.type !== 'failed') tell(message);
  });

  let wanted = false;
  const end = () => {
    wanted = true;
    // Its input's end makes inside.ts end, the first process with it, and with that everything in there; unshare ends last.
    input.end();
  };
  process.on('SIGTERM', end).on('SIGINT', end).on('SIGHUP', end);
  // A starter that is not the owner says good-bye first.
  process.on('message', (message) => {
    if (message === 'stay') process.off('disconnect', end);
  });
  process.on('disconnect', end);
  if (!process.connected) end();

  await gone;
  api.close();
  control.close();
  await removeCgroup(cgroup);
  rmSync(places.failedLogs, { recursive: true, force: true });
  if (!wanted) {
    renameSync(places.logs, places.failedLogs);
    const reason = failure ?? `the cluster's first process ended:\n${readFileSync(path.join(places.failedLogs, 'inside.log'), 'utf8').slice(-1500)}`;
    tell({ type: 'failed', reason: reason.replaceAll(places.logs, places.failedLogs) });
  }
  rmSync(folder, { recursive: true, force: true });
}

keep().then(
  () => process.exit(0),
  (error: unknown) => {
    tell({ type: 'failed', reason: error instanceof Error ? error.message : String(error) });
    console.error(error);
    process.exit(1);
  },
);
