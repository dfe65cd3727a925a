// `--filename`: manifests of files, of all files of a folder, and of standard input (`-`).
import { readdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { SettingsError } from '../../common/options.ts';
import type { Problem } from '../finding.ts';
import { unknown } from '../finding.ts';
import { readManifests } from './manifests.ts';

/** Throws {@link SettingsError} for a name that cannot be read. */
export async function readFiles(
  names: readonly string[],
  stdin: NodeJS.ReadableStream,
): Promise<{ objects: unknown[]; problems: Problem[] }> {
  const objects: unknown[] = [];
  const problems: Problem[] = [];
  for (const name of names) {
    for (const file of await filesOf(name)) {
      const manifests = readManifests(
        file === '-' ? 'standard input' : file,
        file === '-' ? await text(stdin) : await readFile(file, 'utf8'),
      );
      objects.push(...manifests.objects);
      problems.push(...manifests.skipped.map(skipped));
    }
  }
  return { objects, problems };
}

const skipped = ({ place, why }: { place: string; why: string }): Problem =>
  unknown('ManifestSkipped', {
    title: place,
    message: `skipped: ${why}`,
    advice: 'Correct it, or leave the file out if it is no manifest.',
  });

async function filesOf(name: string): Promise<string[]> {
  if (name === '-') return ['-'];
  try {
    if (!(await stat(name)).isDirectory()) return [name];
    const entries = await readdir(name, { recursive: true, withFileTypes: true });
    return entries
      .filter((entry) => entry.isFile() && /\.(ya?ml|json)$/i.test(entry.name))
      .map((entry) => path.join(entry.parentPath, entry.name))
      .sort();
  } catch (error) {
    throw new SettingsError(
      `--filename is '${name}': accepted is a file, a folder or - (${error instanceof Error ? error.message : String(error)})`,
    );
  }
}
