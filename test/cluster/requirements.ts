// What a machine must have for a cluster. All that is missing is listed at once.
import { existsSync } from 'node:fs';
import { missingForContainerRuntime, missingForPrograms } from './binaries.ts';
import { cacheRoot } from './cache.ts';
import { missingForPackages } from './debian.ts';
import { canOverlay } from './images.ts';
import { findOnPath } from './run.ts';

/** Linux, root and the small tools; the rest can be checked on Linux only. */
function missingForNamespaces(): string[] {
  if (process.platform !== 'linux') return [`Linux: this is ${process.platform}, and namespaces and control groups are needed`];
  const root =
    process.getuid?.() === 0 ? [] : ['root: run it with sudo, or as root of a container that may mount and make namespaces (--privileged)'];
  const tools = { unshare: 'util-linux', nsenter: 'util-linux', mount: 'mount', ip: 'iproute2', ldd: 'libc-bin', ldconfig: 'libc-bin' };
  const programs = Object.entries(tools)
    .filter(([name]) => findOnPath(name) === undefined)
    .map(([name, from]) => `${name}: install the Debian package ${from}`);
  return [...root, ...programs];
}

/** One line for each missing thing. */
export function missingForImages(): string[] {
  return [...missingForNamespaces(), ...(process.platform === 'linux' ? missingForPackages() : [])];
}

export async function missingForCluster(): Promise<string[]> {
  const cgroups = existsSync('/sys/fs/cgroup') ? [] : ['control groups, mounted at /sys/fs/cgroup'];
  return [...missingForImages(), ...cgroups, ...(await missingForPrograms())];
}

/** What a cluster with `userNamespaces` needs beside. */
export async function missingForUserNamespaces(): Promise<string[]> {
  const idmapped = (await canOverlay(cacheRoot()))
    ? []
    : [`a cache outside of an overlay file system, which has no idmapped mounts: ${cacheRoot()}`];
  return [...missingForContainerRuntime(), ...idmapped];
}

export class MissingRequirements extends Error {
  constructor(what: string, missing: readonly string[]) {
    super(missing.length === 1 ? `${what} needs ${missing[0]}` : `${what} needs:\n${missing.map((line) => `  ${line}`).join('\n')}`);
  }
}
