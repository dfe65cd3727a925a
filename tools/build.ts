// `npm run build`: one bundled file a program, in dist/.
// CommonJS for the Node programs: an ES module entry costs 5 MiB more private memory (docs/reference/node-runtime.md).
import { mkdir, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import * as esbuild from 'esbuild';

const root = path.resolve(import.meta.dirname, '..');

const programs = {
  webhook: { entry: 'webhook/main.ts', outfile: 'dist/webhook.cjs', platform: 'node', format: 'cjs', target: 'node24' },
  broker: { entry: 'broker/main.ts', outfile: 'dist/broker.cjs', platform: 'node', format: 'cjs', target: 'node24' },
  controller: { entry: 'controller/main.ts', outfile: 'dist/controller.cjs', platform: 'node', format: 'cjs', target: 'node24' },
  // Bun brings its own globals and node: modules; nothing else may be left outside the file.
  sidecar: { entry: 'sidecar/main.ts', outfile: 'dist/sidecar.js', platform: 'neutral', format: 'esm', target: 'es2024' },
} as const;

export type ProgramName = keyof typeof programs;
export const programNames = Object.keys(programs) as ProgramName[];

/** Bundles one program and returns the source files in it, as paths from the root. */
export async function bundle(
  name: ProgramName,
  options: { write: boolean },
): Promise<{ outfile: string; inputs: string[]; bytes: number }> {
  const program = programs[name];
  const result = await esbuild.build({
    absWorkingDir: root,
    entryPoints: [program.entry],
    outfile: program.outfile,
    bundle: true,
    platform: program.platform,
    format: program.format,
    target: program.target,
    external: program.platform === 'neutral' ? ['node:*', 'bun'] : [],
    minifySyntax: true,
    minifyWhitespace: true,
    legalComments: 'none',
    metafile: true,
    write: false,
    logLevel: 'error',
  });
  // Renamed into place: tests that run side by side each make the bundle they start, and none may see half of one.
  for (const file of options.write ? result.outputFiles : []) {
    await mkdir(path.dirname(file.path), { recursive: true });
    const draft = `${file.path}.${process.pid}`;
    await writeFile(draft, file.contents);
    await rename(draft, file.path);
  }
  const bytes = Object.values(result.metafile.outputs).reduce((sum, output) => sum + output.bytes, 0);
  return { outfile: path.join(root, program.outfile), inputs: Object.keys(result.metafile.inputs), bytes };
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  for (const name of programNames) {
    const { outfile, bytes } = await bundle(name, { write: true });
    console.log(`${path.relative(root, outfile)}  ${Math.round(bytes / 1024)} KiB`);
  }
}
