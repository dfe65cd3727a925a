// The folder of a containerd that has imported images. An import takes as long as the rest of a cluster's start, so it is done once, and each cluster
// gets a folder of links to it.
import { copyFileSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { ContainerRuntime } from './binaries.ts';
import type { Log } from './cache.ts';
import { cached, cacheKey, prune } from './cache.ts';
import type { Unpacked } from './debian.ts';
import { disabledPlugins } from './node-config.ts';
import { start, untilReady } from './processes.ts';
import { mustRun, withProgress } from './run.ts';
import type { ImageArchive } from './settings.ts';

export interface ImageStoreOptions {
  images: readonly ImageArchive[];
  snapshotter: 'overlayfs' | 'native';
  debian: Unpacked;
  /** Null for Debian's. */
  containerRuntime: ContainerRuntime | null;
}

const root = 'containerd';

/** The environment in which containerd and its tools are found. */
export function containerdEnv({ debian, containerRuntime }: Pick<ImageStoreOptions, 'debian' | 'containerRuntime'>): Unpacked['env'] {
  return containerRuntime === null ? debian.env : { ...debian.env, PATH: `${containerRuntime.containerd}:${debian.env.PATH}` };
}

/** Path of containerd's folder with these images. The first image is in those of other clusters too, so its files are there only once. */
export async function imageStore(options: ImageStoreOptions, log: Log): Promise<string> {
  const { images, snapshotter, debian, containerRuntime } = options;
  const kind = 'image-store';
  const key = cacheKey([snapshotter, containerRuntime?.containerd ?? debian.root, ...images.map(({ reference }) => reference)]);
  const store = await cached(kind, key, log, async (draft) => {
    const folder = path.join(draft, root);
    const [first, ...others] = images;
    if (first !== undefined && others.length > 0) await linkImageStore(await imageStore({ ...options, images: [first] }, log), folder);
    await withProgress(log, `importing ${images.length === 1 ? 'the base image' : 'images'}`, '10 s, once for each change', () =>
      importInto(folder, { ...options, images: others.length > 0 ? others : images }),
    );
    prune(kind);
  });
  return path.join(store, root);
}

/** Links all files but the databases, which a containerd writes to. All others are written once. */
export async function linkImageStore(store: string, target: string): Promise<void> {
  await mustRun('cp', ['--archive', '--link', store, target]);
  for (const folder of readdirSync(target).map((name) => path.join(target, name)))
    for (const name of statSync(folder).isDirectory() ? readdirSync(folder) : []) {
      if (!name.endsWith('.db')) continue;
      const file = path.join(folder, name);
      copyFileSync(file, `${file}.own`);
      renameSync(`${file}.own`, file);
    }
}

async function importInto(folder: string, options: ImageStoreOptions): Promise<void> {
  // Short, as the path of a socket must be.
  const state = mkdtempSync(path.join(tmpdir(), 'images-'));
  const socket = path.join(state, 's');
  const config = path.join(state, 'config.toml');
  const text = JSON.stringify;
  writeFileSync(
    config,
    `version = 2
root = ${text(folder)}
state = ${text(path.join(state, 'state'))}
disabled_plugins = ${text([...disabledPlugins, 'io.containerd.grpc.v1.cri'])}
[grpc]
address = ${text(socket)}
`,
  );
  const env = containerdEnv(options);
  const ctr = (...args: string[]) => mustRun('ctr', ['--address', socket, '--namespace', 'k8s.io', ...args], { env });
  // Its mounts end with it.
  const command = { name: 'containerd', file: 'unshare', args: ['--mount', 'containerd', '--config', config], env };
  const daemon = start(command, path.join(state, 'log'));
  try {
    await untilReady(daemon, async () => (await ctr('version')) !== '', 30);
    await Promise.all(options.images.map(({ archive }) => ctr('images', 'import', '--snapshotter', options.snapshotter, archive)));
  } finally {
    await daemon.stop(10);
    rmSync(state, { recursive: true, force: true });
  }
}
