// `npm run release`: all artefacts of one version. The same commit, packages of Debian and tools make the same bytes.
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { SettingsError } from '../../common/options.ts';
import { MissingRequirements, missingForImages } from '../../test/cluster/requirements.ts';
import { mustRun } from '../../test/cluster/run.ts';
import type { ImageName } from '../build.ts';
import { buildAll, bundle, images as imageContents, imageNames } from '../build.ts';
import { licenseOf, packagesOf, renderLicenses } from '../licenses.ts';
import type { ReleaseArguments } from './arguments.ts';
import { parseArguments, usage } from './arguments.ts';
import { changesOf, releaseNotes } from './changelog.ts';
import { packageChart } from './chart.ts';
import { publishCommands } from './commands.ts';
import type { ReleasedImage } from './images.ts';
import { platforms, releaseImages } from './images.ts';
import type { Labels } from './oci.ts';
import type { SourceState } from './preconditions.ts';
import { problemsOf, readSource } from './preconditions.ts';
import { imageSbom } from './sbom.ts';

const root = path.resolve(import.meta.dirname, '../..');
const log = (line: string) => console.error(line);

/** No release can be made of this tree. */
class RefusedRelease extends Error {
  override readonly name = 'RefusedRelease';
  readonly code = 'release_refused';
}

interface Release {
  options: ReleaseArguments;
  source: SourceState;
  folder: string;
  notes: string;
  images: readonly ReleasedImage[];
}

/** What is made beside the images, each as one or more files in the folder of the release. */
const artefacts: readonly ((release: Release) => Promise<void>)[] = [writeSboms, writeChart, writePlugin, writeNotes];

const imageFile = (image: ImageName, version: string) => `${image}-${version}.oci.tar`;
const chartFile = (version: string) => `aad-pod-identity-webhook-${version}.tgz`;
const pluginFile = 'kubectl-aad_pod_identity';
const checksumsFile = 'SHA256SUMS';

function labelsOf(image: ImageName, options: ReleaseArguments, { commit, time }: SourceState): Labels {
  return {
    'org.opencontainers.image.created': new Date(time * 1000).toISOString(),
    // Of our programs. The image has those of the rest in /licenses and /usr/share/doc.
    'org.opencontainers.image.licenses': 'MIT',
    'org.opencontainers.image.revision': commit,
    ...(options.source === undefined ? {} : { 'org.opencontainers.image.source': options.source }),
    'org.opencontainers.image.title': `aad-pod-identity-webhook ${image}`,
    'org.opencontainers.image.version': options.version,
  };
}

async function writeSboms({ options, source, folder, images }: Release): Promise<void> {
  const npmSbom: unknown = JSON.parse(await mustRun('npm', ['sbom', '--sbom-format', 'cyclonedx', '--package-lock-only'], { cwd: root }));
  for (const { name, platforms } of images) {
    const bundles = await Promise.all(imageContents[name].programs.map((program) => bundle(program, { write: false })));
    const bundled = packagesOf(bundles.flatMap(({ inputs }) => inputs)).map((one) => one.replace(/^.*node_modules\//, ''));
    for (const { architecture, runtime, digest, debianPackages } of platforms) {
      const image = { name, version: options.version, architecture, digest, time: source.time };
      const text = imageSbom({ ...image, npmSbom, npmPackages: new Set([...bundled, runtime]), debianPackages });
      writeFileSync(path.join(folder, `${name}-${options.version}-linux-${architecture}.cdx.json`), text);
    }
  }
}

/** The kubectl plugin is one file, which needs Node on the machine of its user. kubectl finds it on the PATH by this name, without extension. */
async function writePlugin({ folder }: Release): Promise<void> {
  const { outfile, inputs } = await bundle('cli', { write: true, folder });
  renameSync(outfile, path.join(folder, pluginFile));
  const packages = packagesOf(inputs).map((one) => licenseOf(path.join(root, one)));
  writeFileSync(path.join(folder, `${pluginFile}.licenses.txt`), renderLicenses(`${pluginFile} holds the software below.`, packages));
}

async function writeChart({ options, source, folder, notes }: Release): Promise<void> {
  const { registry, version } = options;
  const images = registry === undefined ? [] : imageNames.map((image) => [image, `${registry}/${image}:${version}`]);
  const about = { source: options.source, images: Object.fromEntries(images), changes: changesOf(notes), platforms };
  await packageChart(path.join(folder, chartFile(version)), about, source.time, log);
}

async function writeNotes({ folder, notes }: Release): Promise<void> {
  writeFileSync(path.join(folder, 'release-notes.txt'), notes);
}

const hashOf = (file: string) => createHash('sha256').update(readFileSync(file)).digest('hex');
const sizeOf = (bytes: number) => (bytes < 2 ** 20 ? `${Math.ceil(bytes / 1024)} KiB` : `${(bytes / 2 ** 20).toFixed(1)} MiB`).padStart(10);

/** In the form of `sha256sum --check`. */
function writeChecksums(folder: string): void {
  const files = readdirSync(folder).sort();
  writeFileSync(path.join(folder, checksumsFile), files.map((file) => `${hashOf(path.join(folder, file))}  ${file}\n`).join(''));
}

function print({ options, folder, images }: Release): void {
  const shown = path.relative(root, folder);
  console.log(`${shown}:`);
  for (const file of readdirSync(folder)) console.log(`  ${sizeOf(statSync(path.join(folder, file)).size)}  ${file}`);
  console.log('\nimages, as nodes pull them:');
  for (const { name, platforms } of images)
    for (const { architecture, bytes } of platforms) console.log(`  ${sizeOf(bytes)}  ${name} linux/${architecture}`);
  const published = images.map(({ name, digest }) => ({ name, digest, file: imageFile(name, options.version) }));
  const commands = {
    registry: options.registry ?? 'REGISTRY',
    version: options.version,
    images: published,
    chart: chartFile(options.version),
  };
  console.log(`\nto publish it, in ${shown}:`);
  for (const command of publishCommands(commands)) console.log(`  ${command}`);
}

async function release(args: readonly string[]): Promise<void> {
  const options = parseArguments(args);
  const source = await readSource(root, options.version);
  const problems = problemsOf(options.version, source);
  if (problems.length > 0) throw new RefusedRelease(problems.join('\n'));
  const missing = missingForImages();
  if (missing.length > 0) throw new MissingRequirements('a release', missing);
  const folder = path.join(root, 'dist/release', options.version);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  await buildAll();
  const images = await releaseImages(
    {
      dist: path.join(root, 'dist'),
      version: options.version,
      time: source.time,
      labelsOf: (image) => labelsOf(image, options, source),
      fileOf: (image) => path.join(folder, imageFile(image, options.version)),
    },
    log,
  );
  const made = { options, source, folder, images, notes: releaseNotes(source.changelog, options.version) };
  for (const write of artefacts) await write(made);
  writeChecksums(folder);
  print(made);
}

async function main(args: readonly string[]): Promise<void> {
  if (args.includes('--help')) return console.log(usage);
  try {
    await release(args);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = error instanceof SettingsError || error instanceof RefusedRelease ? 2 : 1;
  }
}

await main(process.argv.slice(2));
