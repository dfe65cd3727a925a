// Licence texts of what is in an image: the packages in its bundles, and its runtime. Debian's files bring their own (see the Dockerfile).
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { stringAt } from '../common/records.ts';

/** Texts for packages that have none, one file each, by the package's name with `/` as `__`. */
const ownTexts = path.join(import.meta.dirname, 'licenses');
const licenseFile = /^((un)?licen[cs]e|copying|notice)([.-].*)?$/i;

export interface Licensed {
  /** Name, version and what the package says about its licence. */
  title: string;
  texts: string[];
}

/** Folders of the packages that these source files belong to, as paths from the root. */
export function packagesOf(inputs: readonly string[]): string[] {
  return [...new Set(inputs.flatMap((input) => /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(input)?.[1] ?? []))].sort();
}

/** Throws when neither the package nor this repository has a text. */
export function licenseOf(folder: string): Licensed {
  const manifest: unknown = JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8'));
  const name = stringAt(manifest, 'name') ?? path.basename(folder);
  const own = path.join(ownTexts, `${name.replaceAll('/', '__')}.txt`);
  const files = readdirSync(folder).filter((file) => licenseFile.test(file));
  const found = files.length > 0 ? files.sort().map((file) => path.join(folder, file)) : [own].filter((file) => existsSync(file));
  const license = stringAt(manifest, 'license') ?? 'no SPDX id';
  if (found.length === 0)
    throw new Error(
      `the package ${name} (${license}) is in a bundle and has no licence text: find its terms, and put the text into tools/licenses/${path.basename(own)}`,
    );
  return { title: `${name} ${stringAt(manifest, 'version')} (${license})`, texts: found.map((file) => readFileSync(file, 'utf8')) };
}

/** The runtime of an image. The package of Bun has no text; its documentation has the page of terms. */
export function runtimeLicense(root: string, runtime: 'node' | 'bun'): Licensed {
  const modules = path.join(root, 'node_modules');
  if (runtime === 'bun') {
    const page = path.join(modules, 'bun-types/docs/project/license.mdx');
    return { title: 'Bun (MIT, with libraries), https://github.com/oven-sh/bun/blob/main/LICENSE.md', texts: [readFileSync(page, 'utf8')] };
  }
  const name = readdirSync(modules).find((folder) => folder.startsWith('node-linux-'));
  if (name === undefined) throw new Error('no package node-linux-* is installed: run npm ci --ignore-scripts on Linux');
  return { title: 'Node.js (MIT, with libraries)', texts: [readFileSync(path.join(modules, name, 'LICENSE'), 'utf8')] };
}

/** One text with all of them, after a line that says what holds the software. */
export function renderLicenses(introduction: string, software: readonly Licensed[]): string {
  const rule = '='.repeat(100);
  const parts = software.map(({ title, texts }) => `${rule}\n${title}\n${rule}\n\n${texts.map((text) => text.trim()).join('\n\n')}\n`);
  return [`${introduction}\n`, ...parts].join('\n');
}
