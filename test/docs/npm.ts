// Command lines of npm: the scripts of package.json, with the flags that their programs describe.
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '../..');
const read = (file: string): string => readFileSync(path.join(root, file), 'utf8');
const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };

/** The file that a script runs, and those beside it that it imports: one of them has the usage. */
function sourcesOf(script: string): string {
  const file = /tools\/run\.mjs (\S+)/.exec(script)?.[1];
  if (file === undefined) return '';
  const text = read(file);
  const beside = [...text.matchAll(/from '(\.\/[^']+)'/g)].map(([, name = '']) => path.posix.join(path.posix.dirname(file), name));
  return [text, ...beside.filter((name) => existsSync(path.join(root, name))).map(read)].join('\n');
}

/** What is wrong with `npm` and these words. */
export function problemsOfNpm(words: readonly string[]): readonly string[] {
  const [own, ours] = words.includes('--') ? [words.slice(0, words.indexOf('--')), words.slice(words.indexOf('--') + 1)] : [words, []];
  const [command, ...names] = own.filter((word) => !word.startsWith('-'));
  const name = command === 'test' ? 'test' : command === 'run' ? names[0] : undefined;
  if (command === 'install' || command === 'ci') return [];
  const script = name === undefined ? undefined : scripts[name];
  if (script === undefined) return [`npm ${own.join(' ')}: no such script in package.json`];
  const sources = sourcesOf(script);
  return ours
    .filter((word) => word.startsWith('--'))
    .map((word) => word.replace(/=.*/s, ''))
    .filter((flag) => !new RegExp(`${flag}\\b`).test(sources))
    .map((flag) => `npm run ${name}: unknown flag ${flag}`);
}
