// What a machine must have for a cluster; everything that is missing is told at once.
import { existsSync } from 'node:fs';
import { missingForPackages } from './debian.ts';
import { findOnPath } from './run.ts';

/** One line each; none means all is there. Root and Linux first: without them the rest cannot be told. */
export function missingForCluster(): string[] {
  if (process.platform !== 'linux') return [`Linux: this is ${process.platform}, and the cluster is made of namespaces and control groups`];
  const root = process.getuid?.() === 0 ? [] : ['root: run it with sudo, or as root of a container that may mount and make namespaces (--privileged)'];
  const tools = { unshare: 'util-linux', nsenter: 'util-linux', mount: 'mount', ip: 'iproute2', ldd: 'libc-bin' };
  const programs = Object.entries(tools)
    .filter(([name]) => findOnPath(name) === undefined)
    .map(([name, from]) => `${name}: install the Debian package ${from}`);
  const kernel = existsSync('/sys/fs/cgroup') ? [] : ['control groups: mount them at /sys/fs/cgroup'];
  return [...root, ...programs, ...kernel, ...missingForPackages()];
}

export class MissingRequirements extends Error {
  constructor(missing: readonly string[]) {
    super(missing.length === 1 ? `the cluster needs ${missing[0]}` : `the cluster needs:\n${missing.map((line) => `  ${line}`).join('\n')}`);
  }
}
