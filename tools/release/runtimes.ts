// Node and Bun for both processors. npm installs those of this machine only; the others are fetched, and checked against package-lock.json.
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { stringAt } from '../../common/records.ts';
import type { Log } from '../../test/cluster/cache.ts';
import { cached, cacheKey } from '../../test/cluster/cache.ts';
import type { Runtime } from '../../test/cluster/images.ts';
import { mustRun, withProgress } from '../../test/cluster/run.ts';

const root = path.resolve(import.meta.dirname, '../..');

/** The program of a runtime, with its file. */
export async function findRuntime(runtime: Runtime, log: Log): Promise<Runtime & { file: string }> {
  const installed = path.join(root, 'node_modules', runtime.name, runtime.program);
  if (existsSync(installed)) return { ...runtime, file: installed };
  const lock: unknown = JSON.parse(readFileSync(path.join(root, 'package-lock.json'), 'utf8'));
  const entry = ['packages', `node_modules/${runtime.name}`];
  const wanted = { version: stringAt(lock, ...entry, 'version') ?? '', integrity: stringAt(lock, ...entry, 'integrity') ?? '' };
  const folder = await cached('runtime', cacheKey([runtime.name, wanted.integrity]), log, (draft) =>
    withProgress(log, `fetching ${runtime.name} ${wanted.version}`, '10 s, once', () => unpack(runtime, wanted, draft)),
  );
  return { ...runtime, file: path.join(folder, 'package', runtime.program) };
}

async function unpack({ name, program }: Runtime, wanted: { version: string; integrity: string }, folder: string): Promise<void> {
  await mustRun('npm', ['pack', '--silent', '--pack-destination', folder, `${name}@${wanted.version}`], { cwd: root });
  const [archive = ''] = readdirSync(folder).filter((file) => file.endsWith('.tgz'));
  const file = path.join(folder, archive);
  checkIntegrity(name, readFileSync(file), wanted.integrity);
  await mustRun('tar', ['--extract', '--file', file, '--directory', folder, `package/${program}`]);
  rmSync(file);
}

/** Throws where a package is not the one of the lock file. */
export function checkIntegrity(name: string, content: Uint8Array, wanted: string): void {
  const integrity = `sha512-${createHash('sha512').update(content).digest('base64')}`;
  if (integrity !== wanted) throw new Error(`${name} has the integrity ${integrity}, and package-lock.json wants ${wanted}`);
}
