// The Kubernetes programs, helm, the tests' own CSI driver and what few machines have, at the versions that go/*/go.mod pin: found, or built from the
// pinned modules (go.sum is the checksum).
// Nothing is downloaded as a binary: the checksums of the official archives are not in this repository.
import { existsSync, linkSync, renameSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Log } from './cache.ts';
import { cached, cacheKey, existing } from './cache.ts';
import { debianPackages } from './debian.ts';
import { findOnPath, lastLines, run, withProgress } from './run.ts';

const kubernetesPrograms = [
  'etcd',
  'kube-apiserver',
  'kube-controller-manager',
  'kube-scheduler',
  'kubelet',
  'kube-proxy',
  'kubectl',
] as const;
export type KubernetesProgram = (typeof kubernetesPrograms)[number];
type ProgramName = KubernetesProgram | 'helm';

const modules = path.join(import.meta.dirname, 'go');

/** The version that a go.mod requires of a module, with its `v`. */
export function requiredVersion(goMod: string, module: string): string {
  const line = goMod
    .split('\n')
    .map((text) => text.replace(/^\s*(require\s+)?/, '').split(/\s+/))
    .find(([name, version]) => name === module && version?.startsWith('v'));
  const version = line?.[1];
  if (version === undefined) throw new Error(`go.mod does not require ${module}`);
  return version;
}

interface Build {
  /** Its version counts. */
  module: string;
  /** On 2 cores. */
  minutes: number;
  tags?: string;
  /** Of a program of the folder itself. */
  source?: string;
  /** Whether the tools of its go.mod are built. */
  tools?: boolean;
  /** Whether it needs a C compiler. */
  cgo?: boolean;
}
/** By folder of go/. */
const builds = {
  kubernetes: { module: 'k8s.io/kubernetes', minutes: 5, source: 'main.go', tools: true },
  // The tag leaves out the cloud providers of old, which take most of the time.
  'kubernetes-oldest': { module: 'k8s.io/kubernetes', minutes: 3, tools: true, tags: 'providerless' },
  helm: { module: 'helm.sh/helm/v3', minutes: 1, tools: true },
  'kube-router': { module: 'github.com/cloudnativelabs/kube-router/v2', minutes: 3, tools: true },
  'csi-driver': { module: 'github.com/container-storage-interface/spec', minutes: 1, source: 'main.go' },
  containerd: { module: 'github.com/containerd/containerd/v2', minutes: 2, tools: true },
  runc: { module: 'github.com/opencontainers/runc', minutes: 1, tools: true, tags: 'seccomp', cgo: true },
} as const satisfies Record<string, Build>;
type BuildName = keyof typeof builds;

/** Flags that give the programs the version that they report; kubectl and helm fail with `v0.0.0-master`. */
export function linkFlags(kind: BuildName, version: string): string {
  if (kind === 'helm') return `-s -w -X helm.sh/helm/v3/internal/version.version=${version}`;
  if (builds[kind].module !== 'k8s.io/kubernetes') return '-s -w';
  const [major, minor] = version.slice(1).split('.');
  const prefix = 'k8s.io/component-base/version.git';
  return `-s -w -X ${prefix}Version=${version} -X ${prefix}Major=${major} -X ${prefix}Minor=${minor} -X ${prefix}TreeState=clean`;
}

/** How each program is asked for its version, and what it then prints. */
export function reportsVersion(name: ProgramName, output: string, version: string): boolean {
  const printed = output.match(/v?(\d+\.\d+\.\d+[^\s+]*)/)?.[1];
  return printed === version.replace(/^v/, '') && (name !== 'etcd' || output.includes('etcd'));
}
const versionArguments = (name: ProgramName) =>
  name === 'kubectl' ? ['version', '--client'] : name === 'helm' ? ['version', '--short'] : ['--version'];

/** Whether every program is there at exactly its version. */
async function allFit(names: readonly ProgramName[], versionOf: (name: ProgramName) => string, searchPath: string): Promise<boolean> {
  const files = names.map((name) => findOnPath(name, searchPath));
  if (files.includes(undefined)) return false;
  const fits = names.map(async (name) => {
    const { stdout, code } = await run(findOnPath(name, searchPath) ?? name, versionArguments(name), { timeoutSeconds: 20 });
    return code === 0 && reportsVersion(name, stdout, versionOf(name));
  });
  return (await Promise.all(fits)).every((fit) => fit);
}

/** What is wrong with the machine's Go; undefined where it suits. */
async function missingGo(goMod: string): Promise<string | undefined> {
  const needed = goMod.match(/^go (\d+)\.(\d+)/m);
  const wanted = `Go ${needed?.[1]}.${needed?.[2]} or later`;
  if (findOnPath('go') === undefined) return `${wanted} (no go in PATH), from https://go.dev/dl`;
  const { stdout } = await run('go', ['env', 'GOVERSION'], { cwd: '/', env: { GOTOOLCHAIN: 'local' } });
  const own = stdout.match(/go(\d+)\.(\d+)/);
  // From 1.21 on, Go fetches the version that a go.mod asks for, unless GOTOOLCHAIN forbids it.
  if (own !== null && (Number(own[2]) >= 21 || Number(own[1]) > 1)) return undefined;
  return `${wanted} (PATH has ${stdout.trim() || 'one that does not say its version'}), from https://go.dev/dl`;
}

async function build(kind: BuildName, { goMod, version }: Pins, folder: string, log: Log): Promise<void> {
  const { minutes, source, tools = false, tags = '', cgo = false }: Build = builds[kind];
  const problem = (await missingGo(goMod)) ?? (cgo && findOnPath('gcc') === undefined ? 'gcc' : undefined);
  if (problem !== undefined)
    throw new Error(`${kind} ${version} has to be built, which needs ${problem}; or put its programs in KUBEBUILDER_ASSETS or PATH`);
  const packages = [...(source === undefined ? [] : ['.']), ...(tools ? ['tool'] : [])];
  const args = ['build', '-v', '-trimpath', `-ldflags=${linkFlags(kind, version)}`, `-tags=${tags}`, '-o', `${folder}/`, ...packages];
  const c = cgo ? { CGO_ENABLED: '1', PKG_CONFIG: await seccompConfig(folder, log) } : { CGO_ENABLED: '0' };
  const env = { ...c, GOWORK: 'off', GOFLAGS: '-mod=readonly -buildvcs=false' };
  const cwd = path.join(modules, kind);
  const { code, stderr } = await withProgress(
    log,
    `building ${kind} ${version} with Go`,
    `${minutes} minutes on 2 cores, once`,
    async (progress) => {
      const { stdout: dependencies } = await run('go', ['list', '-deps', `-tags=${tags}`, ...packages], { cwd, env });
      const total = dependencies.split('\n').length;
      let compiled = 0;
      // With -v, Go prints the name of each package that it compiles.
      const onStderr = (text: string) => {
        compiled += text.split('\n').length - 1;
        progress(compiled / total);
      };
      return run('go', args, { cwd, env, onStderr });
    },
  );
  if (code !== 0) {
    throw new Error(
      `go build of ${kind} ${version} failed (it needs the Go module proxy or a filled module cache; ${kind} ${version} in KUBEBUILDER_ASSETS or PATH avoids it):\n${lastLines(stderr, 8)}`,
    );
  }
  if (kind !== 'kubernetes') return;
  // etcd's package is called server, and so is the program that Go makes of it.
  renameSync(path.join(folder, 'server'), path.join(folder, 'etcd'));
  for (const name of kubernetesPrograms) {
    const file = path.join(folder, name);
    if (!existsSync(file)) linkSync(path.join(folder, 'kubernetes'), file);
  }
}

/** Path of what Go asks for the flags of libseccomp: those of Debian's package, which is not installed. Linked statically, so that nothing needs it later. */
async function seccompConfig(folder: string, log: Log): Promise<string> {
  const { root, env } = await debianPackages('seccomp', log);
  const [libraries] = env.LD_LIBRARY_PATH.split(path.delimiter);
  const file = path.join(folder, 'pkg-config');
  const flags = { '--cflags': `-I${root}/usr/include`, '--libs': `-L${libraries} -l:libseccomp.a` };
  const cases = Object.entries(flags).map(([asked, answer]) => `  *${asked}*) echo '${answer}' ;;`);
  writeFileSync(file, ['#!/bin/sh', 'case "$*" in', ...cases, 'esac', ''].join('\n'), { mode: 0o755 });
  return file;
}

interface Kind<Name extends ProgramName> {
  kind: 'kubernetes' | 'helm';
  names: readonly Name[];
}
const kubernetes: Kind<KubernetesProgram> = { kind: 'kubernetes', names: kubernetesPrograms };
const helm: Kind<'helm'> = { kind: 'helm', names: ['helm'] };

async function pinsOf(kind: BuildName) {
  const goMod = await readFile(path.join(modules, kind, 'go.mod'), 'utf8');
  const goSum = await readFile(path.join(modules, kind, 'go.sum'), 'utf8');
  const { module, source, tags }: Build = builds[kind];
  const sources = source === undefined ? [] : [await readFile(path.join(modules, kind, source), 'utf8')];
  const version = requiredVersion(goMod, module);
  const flags = [linkFlags(kind, version), process.platform, process.arch, ...(tags === undefined ? [] : [tags])];
  const key = cacheKey([goMod, goSum, ...sources, ...flags]);
  return { goMod, version, key };
}
type Pins = Awaited<ReturnType<typeof pinsOf>>;

/** Folder with the programs of one build. */
async function built(kind: BuildName, log: Log): Promise<string> {
  const pins = await pinsOf(kind);
  return cached(kind, pins.key, log, (draft) => build(kind, pins, draft, log));
}

/** KUBEBUILDER_ASSETS comes first since a person set it, then what was built before, then PATH. */
async function locate<Name extends ProgramName>(
  { kind, names }: Kind<Name>,
  { goMod, version, key }: Pins,
): Promise<((name: Name) => string) | undefined> {
  const versionOf = (name: ProgramName) => (name === 'etcd' ? requiredVersion(goMod, 'go.etcd.io/etcd/server/v3') : version);
  const assets = process.env.KUBEBUILDER_ASSETS;
  if (assets && (await allFit(names, versionOf, assets))) return (name) => path.join(assets, name);
  const made = existing(kind, key);
  if (made !== undefined) return (name) => path.join(made, name);
  const searchPath = process.env.PATH ?? '';
  return (await allFit(names, versionOf, searchPath)) ? (name) => findOnPath(name, searchPath) ?? name : undefined;
}

async function locateOrBuild<Name extends ProgramName>(what: Kind<Name>, log: Log): Promise<(name: Name) => string> {
  const found = await locate(what, await pinsOf(what.kind));
  if (found !== undefined) return found;
  const folder = await built(what.kind, log);
  return (name) => path.join(folder, name);
}

/** One line for each kind of program that is neither there nor can be built. */
export async function missingForPrograms(): Promise<string[]> {
  const lines = [kubernetes, helm].map(async (what) => {
    const pinned = await pinsOf(what.kind);
    if ((await locate(what, pinned)) !== undefined) return [];
    const problem = await missingGo(pinned.goMod);
    const names = what.names.join(', ');
    return problem === undefined
      ? []
      : [`${problem}, to build ${what.kind}; or ${names} of ${pinned.version} in KUBEBUILDER_ASSETS or PATH`];
  });
  return (await Promise.all(lines)).flat();
}

export async function findKubernetes(log: Log): Promise<Record<KubernetesProgram, string>> {
  const file = await locateOrBuild(kubernetes, log);
  return {
    etcd: file('etcd'),
    'kube-apiserver': file('kube-apiserver'),
    'kube-controller-manager': file('kube-controller-manager'),
    'kube-scheduler': file('kube-scheduler'),
    kubelet: file('kubelet'),
    'kube-proxy': file('kube-proxy'),
    kubectl: file('kubectl'),
  };
}

export async function findHelm(log: Log): Promise<string> {
  return (await locateOrBuild(helm, log))('helm');
}

// Always built: these are for one test each, and few have them.

/** Enforces NetworkPolicies with iptables and ipset. */
export const findKubeRouter = async (log: Log): Promise<string> => path.join(await built('kube-router', log), 'kube-router');

/** Volumes for the test of the node endpoint. */
export const findCsiDriver = async (log: Log): Promise<string> => path.join(await built('csi-driver', log), 'csi-driver');

/** The API server of the oldest Kubernetes that the chart claims. */
export const findOldestApiServer = async (log: Log): Promise<string> => path.join(await built('kubernetes-oldest', log), 'kube-apiserver');

export interface ContainerRuntime {
  /** With containerd, its shim and ctr. */
  containerd: string;
  runc: string;
}

/** One that runs pods with users of their own (`hostUsers: false`), which needs containerd 2 and runc 1.2. */
export async function findContainerRuntime(log: Log): Promise<ContainerRuntime> {
  return { containerd: await built('containerd', log), runc: path.join(await built('runc', log), 'runc') };
}

/** What is missing for {@link findContainerRuntime}. */
export const missingForContainerRuntime = (): string[] => (findOnPath('gcc') === undefined ? ['gcc, to build runc'] : []);
