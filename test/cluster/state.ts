// Folders of what runs now: a named one for each cluster, an anonymous one for each control plane of a test. Each names its owner, so that the folder of
// a killed run can be removed.
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { cacheKey, cacheRoot } from './cache.ts';
import { parseIdentity } from './lock.ts';
import type { ProcessIdentity } from './procfs.ts';
import { identify, isAlive } from './procfs.ts';

function readIdentity(file: string): ProcessIdentity | undefined {
  try {
    return parseIdentity(readFileSync(file, 'utf8'));
  } catch {
    return undefined;
  }
}

function writeIdentity(file: string, pid: number): void {
  const { start } = identify(pid);
  writeFileSync(file, `${pid} ${start}\n`);
}

const ownerIn = (folder: string) => path.join(folder, 'owner');
const keeperIn = (folder: string) => path.join(folder, 'keeper');

/** The process that keeps a cluster is known from the moment it exists, so that none can be lost. */
export const readKeeper = (folder: string) => readIdentity(keeperIn(folder));
export const writeKeeper = (folder: string, pid: number) => writeIdentity(keeperIn(folder), pid);

/** A new folder that belongs to this process. Removes folders of dead processes. */
export function newRunFolder(): string {
  const parent = path.join(cacheRoot(), 'runs');
  mkdirSync(parent, { recursive: true, mode: 0o700 });
  for (const name of readdirSync(parent)) {
    const folder = path.join(parent, name);
    const owner = readIdentity(ownerIn(folder));
    if (owner !== undefined && !isAlive(owner)) rmSync(folder, { recursive: true, force: true });
  }
  const folder = mkdtempSync(path.join(parent, 'control-plane-'));
  writeIdentity(ownerIn(folder), process.pid);
  return folder;
}

const namePattern = /^[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?$/;

/** Places of one named cluster. */
export function clusterPlaces(name: string) {
  if (!namePattern.test(name))
    throw new Error(`cluster name "${name}": must be at most 30 lower-case letters, digits and dashes, with no dash at an end`);
  const parent = path.join(cacheRoot(), 'clusters');
  const folder = path.join(parent, name);
  return {
    folder,
    lock: path.join(parent, `${name}.lock`),
    logs: path.join(folder, 'logs'),
    /** Logs of the last time it failed. */
    failedLogs: path.join(parent, `${name}.failed-logs`),
    /** The folder's hash keeps two users' clusters of one name apart. */
    cgroup: `aad-cluster-${name}-${cacheKey([folder]).slice(0, 6)}`,
  };
}

export function clusterNames(): string[] {
  try {
    return readdirSync(path.join(cacheRoot(), 'clusters'), { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && namePattern.test(entry.name))
      .map((entry) => entry.name);
  } catch {
    return [];
  }
}

/** What the keeper writes about its cluster. */
export interface ClusterRecord {
  keeper: ProcessIdentity;
  /** The cluster ends with this process; null for one that stays until `down`. */
  owner: ProcessIdentity | null;
  /** First process of the namespaces. */
  init: ProcessIdentity | null;
  networkNamespace: string | null;
  ready: boolean;
  server: string;
  control: string;
}

const recordFile = 'record.json';

export function writeRecord(folder: string, record: ClusterRecord): void {
  const draft = path.join(folder, `.${recordFile}`);
  writeFileSync(draft, JSON.stringify(record, undefined, 2));
  renameSync(draft, path.join(folder, recordFile));
}

/** Undefined for a cluster that does not exist or ended before its first record. */
export function readRecord(folder: string): ClusterRecord | undefined {
  try {
    const record: ClusterRecord = JSON.parse(readFileSync(path.join(folder, recordFile), 'utf8'));
    return record;
  } catch {
    return undefined;
  }
}
