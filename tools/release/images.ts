// The images for both platforms, by the same Dockerfile as those of the tests, and an OCI archive of each.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import path from 'node:path';
import type { Buildah } from '../../test/cluster/buildah.ts';
import type { Log } from '../../test/cluster/cache.ts';
import { cacheRoot } from '../../test/cluster/cache.ts';
import type { Processor } from '../../test/cluster/images.ts';
import { makeContext, runtimeOf, withBuildah } from '../../test/cluster/images.ts';
import { mustRun, withProgress } from '../../test/cluster/run.ts';
import type { ImageName } from '../build.ts';
import { imageNames } from '../build.ts';
import { writeArchive } from './archive.ts';
import type { Descriptor, Labels } from './oci.ts';
import { imageIndex, layersOf, manifestAt, writeIndex } from './oci.ts';
import { findRuntime } from './runtimes.ts';

/** By architecture. */
const processors = { amd64: 'x64', arm64: 'arm64' } as const satisfies Record<string, Processor>;
type Architecture = keyof typeof processors;
const architectures = Object.keys(processors) as Architecture[];
export const platforms = architectures.map((architecture) => `linux/${architecture}`);

export interface ReleasedImage {
  name: ImageName;
  /** Of the index of both platforms. */
  digest: string;
  platforms: ReleasedPlatform[];
}

export interface ReleasedPlatform {
  architecture: string;
  /** Name of the package of npm. */
  runtime: string;
  digest: string;
  /** Of its layers, compressed. */
  bytes: number;
  /** Records of the Debian packages in it, one after the other. */
  debianPackages: string;
}

export interface ImageOptions {
  /** With the bundles. */
  dist: string;
  version: string;
  /** Seconds since 1970, of every file and of the images. */
  time: number;
  labelsOf(image: ImageName): Labels;
  fileOf(image: ImageName): string;
}

export async function releaseImages(options: ImageOptions, log: Log): Promise<ReleasedImage[]> {
  const draft = mkdtempSync(path.join(cacheRoot(), 'release-'));
  try {
    const runtimes = imageNames.flatMap((image) => Object.values(processors).map((processor) => runtimeOf(image, processor)));
    const context = path.join(draft, 'context');
    mkdirSync(context);
    makeContext(context, options.dist, await Promise.all(runtimes.map((runtime) => findRuntime(runtime, log))));
    const released: ReleasedImage[] = [];
    await withBuildah(log, async (buildah, base) => {
      for (const image of imageNames) {
        const layout = path.join(draft, image);
        for (const architecture of architectures)
          await withProgress(log, `building the image ${image} for ${architecture}`, '40 s', () =>
            build(buildah, { image, architecture, context, layout, base, options }),
          );
        released.push(await archive(image, layout, options));
      }
    });
    return released;
  } finally {
    rmSync(draft, { recursive: true });
  }
}

interface Build {
  image: ImageName;
  architecture: string;
  context: string;
  layout: string;
  base: string;
  options: ImageOptions;
}

/** Without layers of earlier builds: they hold the Debian packages of their day. */
async function build(buildah: Buildah, { image, architecture, context, layout, base, options }: Build): Promise<void> {
  const labels = Object.entries(options.labelsOf(image)).map(([name, value]) => `${name}=${value}`);
  const reference = `localhost/release-${image}-${architecture}`;
  await buildah(
    'bud',
    ...['--isolation', 'chroot', '--layers=false', '--pull-never', '--format', 'oci', '--identity-label=false'],
    ...['--platform', `linux/${architecture}`, '--timestamp', String(options.time)],
    // This buildah does not know BUILDPLATFORM by itself, as docker does.
    ...['--build-arg', `BASE=${base}`, '--build-arg', `BUILDPLATFORM=linux/${process.arch === 'x64' ? 'amd64' : process.arch}`],
    ...labels.flatMap((label) => ['--label', label, '--annotation', label]),
    ...['--target', image, '--tag', reference, context],
  );
  await buildah('push', reference, `oci:${layout}:${architecture}`);
  await buildah('rmi', reference);
}

async function archive(image: ImageName, layout: string, options: ImageOptions): Promise<ReleasedImage> {
  const manifests = new Map<Architecture, Descriptor>(
    architectures.map((architecture) => [architecture, manifestAt(layout, architecture)]),
  );
  const platforms: ReleasedPlatform[] = [];
  for (const [architecture, manifest] of manifests) {
    const { files, bytes } = layersOf(layout, manifest);
    const runtime = runtimeOf(image, processors[architecture]).name;
    platforms.push({ architecture, runtime, digest: manifest.digest, bytes, debianPackages: await debianPackagesIn(files) });
  }
  const digest = writeIndex(layout, imageIndex(manifests, options.labelsOf(image)), options.version);
  await writeArchive(options.fileOf(image), { folder: layout, names: ['blobs', 'index.json', 'oci-layout'], time: options.time });
  return { name: image, digest, platforms };
}

async function debianPackagesIn(layers: readonly string[]): Promise<string> {
  const folder = 'var/lib/dpkg/status.d/';
  const found: string[] = [];
  for (const layer of layers) {
    const names = (await mustRun('tar', ['--list', '--file', layer]))
      .split('\n')
      .filter((name) => name.includes(folder) && !name.endsWith('/'));
    if (names.length > 0) found.push(await mustRun('tar', ['--extract', '--to-stdout', '--file', layer, ...names]));
  }
  return found.join('\n');
}
