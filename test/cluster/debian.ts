// Debian packages, fetched and unpacked into the cache. They are not installed, because containerd or runc would conflict with a Docker on the machine.
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import type { Log } from './cache.ts';
import { cached, cacheKey, cacheRoot } from './cache.ts';
import { withLock } from './lock.ts';
import { findOnPath, lastLines, run, withProgress } from './run.ts';

/** Programs of unpacked packages and the environment in which they find each other and their libraries. */
export interface Unpacked {
  root: string;
  env: { PATH: string; LD_LIBRARY_PATH: string };
}

interface PackageSet {
  packages: readonly string[];
  programs: readonly string[];
  /** Folders that no program needs, and that are large. */
  unneeded?: readonly string[];
}
const sets = {
  /** What the node needs. nft is for kube-proxy. */
  node: { packages: ['containerd', 'runc', 'containernetworking-plugins', 'nftables'], programs: ['containerd', 'ctr', 'runc', 'nft'] },
  /** What kube-router enforces network policies with. */
  policies: { packages: ['iptables', 'ipset'], programs: ['xtables-nft-multi', 'ipset'] },
  /** What runc is built with. */
  seccomp: { packages: ['libseccomp-dev'], programs: [] },
  /** What the alerts and the dashboard of the chart are tried with. */
  monitoring: { packages: ['prometheus'], programs: ['prometheus', 'promtool'], unneeded: ['usr/share'] },
  /** What images are made with. */
  images: { packages: ['buildah', 'mmdebstrap'], programs: ['buildah', 'mmdebstrap'] },
} as const satisfies Record<string, PackageSet>;
export type SetName = keyof typeof sets;

/** Names of packages that `apt-get install --simulate` would add. Those it would upgrade (`Inst NAME [old version] ...`) are there already. */
export function packagesToAdd(simulation: string): string[] {
  return simulation
    .split('\n')
    .map((line) => line.match(/^Inst (\S+) \(/)?.[1])
    .filter((name) => name !== undefined);
}

const programFolders = ['usr/sbin', 'usr/bin', 'sbin', 'bin'];
const multiarch: Record<string, string> = { x64: 'x86_64-linux-gnu', arm64: 'aarch64-linux-gnu' };

export function environmentIn(root: string, arch: string, searchPath: string): Unpacked['env'] {
  const triplet = multiarch[arch] ?? `${arch}-linux-gnu`;
  return {
    PATH: [...programFolders.map((folder) => path.join(root, folder)), searchPath].join(path.delimiter),
    LD_LIBRARY_PATH: [`usr/lib/${triplet}`, `lib/${triplet}`].map((folder) => path.join(root, folder)).join(path.delimiter),
  };
}

/** What this machine needs to unpack packages and does not have, one line each. */
export function missingForPackages(): string[] {
  return ['apt-get', 'dpkg']
    .filter((name) => findOnPath(name) === undefined)
    .map((name) => `${name}: this needs Debian or Ubuntu, for containerd, runc and the CNI plugins`);
}

async function download(packages: readonly string[], folder: string): Promise<string | undefined> {
  const simulation = await run('apt-get', ['install', '--simulate', '--no-install-recommends', ...packages], { env: { LC_ALL: 'C' } });
  if (simulation.code !== 0) return lastLines(simulation.stderr, 4);
  const all = [...new Set([...packages, ...packagesToAdd(simulation.stdout)])];
  // The sandbox user of apt may not write into a folder of ours.
  const fetched = await run('apt-get', ['download', '--quiet', '-o', 'APT::Sandbox::User=root', ...all], {
    cwd: folder,
    env: { LC_ALL: 'C' },
  });
  return fetched.code === 0 ? undefined : lastLines(fetched.stderr, 4);
}

/** Package lists may be absent, or older than the archive. */
async function downloadWithUpdate(packages: readonly string[], folder: string): Promise<string | undefined> {
  const first = await download(packages, folder);
  if (first === undefined) return undefined;
  const update = await run('apt-get', ['update', '--quiet'], { env: { LC_ALL: 'C' } });
  return update.code === 0 ? download(packages, folder) : `${first}\n${lastLines(update.stderr, 4)}`;
}

async function fill(set: SetName, root: string, log: Log): Promise<void> {
  const { packages, programs, unneeded = [] }: PackageSet = sets[set];
  const archives = path.join(root, '.archives');
  await mkdir(archives);
  const problem = await withProgress(
    log,
    `fetching Debian packages ${packages.join(', ')} (unpacked into the cache, not installed)`,
    '10 s, once',
    // apt-get update fails where another one runs.
    () =>
      withLock(
        path.join(cacheRoot(), 'apt.lock'),
        () => downloadWithUpdate(packages, archives),
        () => {},
      ),
  );
  if (problem !== undefined)
    throw new Error(`Debian packages ${packages.join(', ')} could not be fetched (network, or root for apt-get update):\n${problem}`);
  const files = readdirSync(archives).filter((name) => name.endsWith('.deb'));
  for (const file of files) {
    const { code, stderr } = await run('dpkg', ['-x', path.join(archives, file), root]);
    if (code !== 0) throw new Error(`dpkg -x ${file} failed: ${lastLines(stderr, 2)}`);
  }
  for (const folder of unneeded) await run('rm', ['-r', path.join(root, folder)]);
  writeFileSync(path.join(root, '.packages'), `${files.sort().join('\n')}\n`);
  const { PATH, LD_LIBRARY_PATH } = environmentIn(root, process.arch, '');
  for (const name of programs) {
    const file = findOnPath(name, PATH);
    if (file === undefined) throw new Error(`none of the Debian packages ${packages.join(', ')} has a program ${name}`);
    const { stdout } = await run('ldd', [file], { env: { LD_LIBRARY_PATH } });
    const lacking = [...stdout.matchAll(/(\S+) => not found/g)].map(([, library]) => library);
    if (lacking.length > 0) throw new Error(`${name} of Debian needs ${lacking.join(', ')}, which this machine lacks`);
  }
  await run('rm', ['-r', archives]);
}

/** The programs of one set, fetched first where need be. Their exact versions are in the folder's file `.packages`. */
export async function debianPackages(set: SetName, log: Log): Promise<Unpacked> {
  const release = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '';
  const version = release.match(/^VERSION_ID=.*$/m)?.[0] ?? '';
  const key = cacheKey([...sets[set].packages, version, process.arch]);
  const root = await cached(`debian-${set}`, key, log, (draft) => fill(set, draft, log));
  return { root, env: environmentIn(root, process.arch, process.env.PATH ?? '') };
}
