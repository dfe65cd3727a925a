// `npm run build`: one bundled file a program, and the licence texts of each image, in dist/.
// CommonJS for the Node programs: an ES module entry costs 5 MiB more private memory (docs/reference/node-runtime.md).
import { mkdir, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import * as esbuild from 'esbuild';
import { licenseOf, packagesOf, renderLicenses, runtimeLicense } from './licenses.ts';

const root = path.resolve(import.meta.dirname, '..');

const programs = {
  webhook: { entry: 'webhook/main.ts', outfile: 'webhook.cjs', platform: 'node', format: 'cjs', target: 'node24' },
  broker: { entry: 'broker/main.ts', outfile: 'broker.cjs', platform: 'node', format: 'cjs', target: 'node24' },
  controller: { entry: 'controller/main.ts', outfile: 'controller.cjs', platform: 'node', format: 'cjs', target: 'node24' },
  cli: { entry: 'cli/main.ts', outfile: 'kubectl-aad_pod_identity.cjs', platform: 'node', format: 'cjs', target: 'node24' },
  // Bun brings its own globals and node: modules; nothing else may be left outside the file.
  sidecar: { entry: 'sidecar/main.ts', outfile: 'sidecar.js', platform: 'neutral', format: 'esm', target: 'es2024' },
} as const;

export type ProgramName = keyof typeof programs;
export const programNames = Object.keys(programs) as ProgramName[];

/** Targets of the Dockerfile. */
export const images = {
  'control-plane': { programs: ['webhook', 'broker', 'controller', 'cli'], runtime: 'node' },
  sidecar: { programs: ['sidecar'], runtime: 'bun' },
} as const satisfies Record<string, { programs: readonly ProgramName[]; runtime: 'node' | 'bun' }>;
export type ImageName = keyof typeof images;
export const imageNames = Object.keys(images) as ImageName[];

/** A person runs the plugin with the Node that they have. An older one would fail somewhere in the middle. */
const nodeGuard =
  'if(Number(process.versions.node.split(".")[0])<24){console.error("kubectl aad-pod-identity: Node is "+process.versions.node+": accepted is 24 or later");process.exit(2)}';

/**
 * The configuration of client-node imports the classes that are generated for every kind, and needs them only to make clients of its own, which these
 * programs never do. To load them takes 13 MiB (docs/reference/node-runtime.md#memory).
 */
const withoutGeneratedClient: esbuild.Plugin = {
  name: 'without-generated-client',
  setup(build) {
    build.onLoad({ filter: /\/@kubernetes\/client-node\/dist\/gen\/index\.js$/ }, () => ({
      contents: 'export const createConfiguration = undefined, ServerConfiguration = undefined;',
    }));
  },
};

/** The Node programs that run all the time. */
const small: esbuild.BuildOptions = {
  plugins: [withoutGeneratedClient],
  // The Azure SDK asks whether a body is one, and to name it makes Node load its fetch: 2 MiB more.
  define: { FormData: 'undefined' },
};

export interface BundleOptions {
  write: boolean;
  /** Where the file goes; dist/ by default. */
  folder?: string;
  /** False keeps the lines of the source, so that a stack trace can be read. */
  minify?: boolean;
}

/** Bundles one program and returns the source files in it, as paths from the root, and those of them that it evaluates when it starts. */
export async function bundle(
  name: ProgramName,
  { write, folder = 'dist', minify = true }: BundleOptions,
): Promise<{ outfile: string; inputs: string[]; atStart: string[]; bytes: number }> {
  const program = programs[name];
  const outfile = path.resolve(root, folder, program.outfile);
  const result = await esbuild.build({
    absWorkingDir: root,
    entryPoints: [program.entry],
    outfile,
    bundle: true,
    platform: program.platform,
    format: program.format,
    target: program.target,
    external: program.platform === 'neutral' ? ['node:*', 'bun'] : [],
    minifySyntax: minify,
    minifyWhitespace: minify,
    legalComments: 'none',
    ...(name === 'cli' ? { banner: { js: nodeGuard } } : program.platform === 'node' ? small : {}),
    metafile: true,
    write: false,
    logLevel: 'error',
  });
  // kubectl runs its plugins by themselves; all others are given to a runtime.
  const mode = name === 'cli' ? 0o755 : 0o644;
  if (write) for (const file of result.outputFiles) await put(file.path, file.contents, mode);
  const bytes = Object.values(result.metafile.outputs).reduce((sum, output) => sum + output.bytes, 0);
  const { inputs } = result.metafile;
  return { outfile, inputs: Object.keys(inputs), atStart: evaluatedAtStart(inputs, program.entry), bytes };
}

/** All that is reached without `import()`. */
function evaluatedAtStart(inputs: esbuild.Metafile['inputs'], entry: string): string[] {
  const found = new Set([entry]);
  for (const file of found)
    for (const { path: imported, kind } of inputs[file]?.imports ?? [])
      if (kind !== 'dynamic-import' && imported in inputs) found.add(imported);
  return [...found];
}

/** Renamed into place: tests that run side by side each make the bundle they start, and none may see half of one. */
async function put(file: string, contents: string | Uint8Array, mode = 0o644): Promise<void> {
  await mkdir(path.dirname(file), { recursive: true });
  const draft = `${file}.${process.pid}`;
  await writeFile(draft, contents, { mode });
  await rename(draft, file);
}

/** The licence texts of what an image holds. Throws where one is missing. */
export function licensesOf(image: ImageName, inputs: readonly string[]): string {
  const packages = packagesOf(inputs).map((folder) => licenseOf(path.join(root, folder)));
  const introduction = 'This image holds the software below. Texts for the files of Debian are in /usr/share/doc.';
  return renderLicenses(introduction, [runtimeLicense(root, images[image].runtime), ...packages]);
}

/** Everything that the Dockerfile copies from dist/. */
export async function buildAll(log: (line: string) => void = () => undefined): Promise<void> {
  for (const image of imageNames) {
    const inputs: string[] = [];
    for (const name of images[image].programs) {
      const made = await bundle(name, { write: true });
      inputs.push(...made.inputs);
      log(`${path.relative(root, made.outfile)}  ${Math.round(made.bytes / 1024)} KiB`);
    }
    await put(path.join(root, 'dist', licensesFile(image)), licensesOf(image, inputs));
  }
}

/** In dist/. */
export const licensesFile = (image: ImageName): string => `${image}.licenses.txt`;

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) await buildAll((line) => console.log(line));
