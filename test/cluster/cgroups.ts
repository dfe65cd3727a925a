// One control group per cluster below which kubelet makes its own, in every hierarchy of the machine (version 1, 2 or both).
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Hierarchy {
  folder: string;
  version: 1 | 2;
}

/** Mounted hierarchies, from /proc/mounts. */
export function hierarchies(mounts: string): Hierarchy[] {
  return mounts
    .split('\n')
    .map((line) => line.split(' '))
    .filter(([, , type]) => type === 'cgroup' || type === 'cgroup2')
    .map(([, folder = '', type]) => ({ folder, version: type === 'cgroup2' ? 2 : 1 }));
}

const mounted = () => hierarchies(readFileSync('/proc/mounts', 'utf8'));

/** Makes the group in every hierarchy; under version 2 it enables the controllers that kubelet needs. */
export function makeCgroup(name: string): void {
  const all = mounted();
  for (const { folder, version } of all) {
    const group = path.join(folder, name);
    mkdirSync(group, { recursive: true });
    // Version 1: a cpuset without cores and memory nodes takes no process.
    for (const setting of ['cpuset.cpus', 'cpuset.mems']) {
      if (version === 1 && existsSync(path.join(group, setting))) {
        writeFileSync(path.join(group, setting), readFileSync(path.join(folder, setting), 'utf8'));
      }
    }
    // Beside version 1 hierarchies, version 2 has no controllers to hand down.
    const handed = version === 2 ? readFileSync(path.join(folder, 'cgroup.controllers'), 'utf8').trim() : '';
    if (handed === '') continue;
    const enable = handed.split(/\s+/).map((controller) => `+${controller}`);
    for (const parent of [folder, group]) writeFileSync(path.join(parent, 'cgroup.subtree_control'), enable.join(' '));
  }
}

function removeTree(group: string): void {
  for (const entry of readdirSync(group, { withFileTypes: true })) {
    if (entry.isDirectory()) removeTree(path.join(group, entry.name));
  }
  rmdirSync(group);
}

/** Removes the group from every hierarchy, once its last processes have ended. */
export async function removeCgroup(name: string): Promise<void> {
  const deadline = Date.now() + 10_000;
  for (const { folder } of mounted()) {
    const group = path.join(folder, name);
    while (existsSync(group)) {
      try {
        removeTree(group);
      } catch (error) {
        if (Date.now() > deadline) throw error;
        await sleep(50);
      }
    }
  }
}

/** Folders of the group that exist. */
export function cgroupFolders(name: string): string[] {
  return mounted()
    .map(({ folder }) => path.join(folder, name))
    .filter((group) => existsSync(group));
}
