// What tests start as processes, as one file each: it starts in a fifth of the time that its source and packages take. The cache keeps it until a source
// changes, so all test files of a run share it.
import { globSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import * as esbuild from 'esbuild';
import type { ProgramName } from '../../tools/build.ts';
import { bundle } from '../../tools/build.ts';
import { cached, cacheKey, prune } from '../cluster/cache.ts';

const root = path.resolve(import.meta.dirname, '../..');
const found = new Map<string, Promise<string>>();

/** Path of a program's bundle. It keeps the lines of the source, so that a stack trace can be read. */
export function programFile(name: ProgramName): Promise<string> {
  const sources = globSync([`{api,common,lib,${name}}/**/*.ts`, 'tools/build.ts'], { cwd: root }).sort();
  return find(name, sources, (folder) => bundle(name, { write: true, folder, minify: false }));
}

/** Path of the bundle of a file that imports packages only. */
export function scriptFile(entry: string): Promise<string> {
  const name = path.basename(entry, '.ts');
  return find(name, [entry], (folder) =>
    esbuild.build({
      entryPoints: [path.join(root, entry)],
      outfile: path.join(folder, `${name}.cjs`),
      bundle: true,
      platform: 'node',
      format: 'cjs',
      target: 'node24',
      logLevel: 'error',
    }),
  );
}

function find(name: string, sources: readonly string[], make: (folder: string) => Promise<unknown>): Promise<string> {
  const known = found.get(name);
  if (known !== undefined) return known;
  const file = findOrMake(name, sources, make);
  found.set(name, file);
  return file;
}

/** `make` writes the one file of the folder. */
async function findOrMake(name: string, sources: readonly string[], make: (folder: string) => Promise<unknown>): Promise<string> {
  const key = cacheKey(['package-lock.json', ...sources].flatMap((file) => [file, readFileSync(path.join(root, file))]));
  const kind = `bundle-${name}`;
  const folder = await cached(
    kind,
    key,
    () => undefined,
    async (draft) => {
      await make(draft);
      prune(kind);
    },
  );
  const [file = ''] = readdirSync(folder);
  return path.join(folder, file);
}
