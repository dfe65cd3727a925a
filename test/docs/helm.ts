// Command lines of helm: its commands, their flags, and the values of `--set` for a release of our chart.
import { existsSync } from 'node:fs';
import path from 'node:path';
import type { Flags } from './flags.ts';
import { readLine, switches, valued } from './flags.ts';
import { problemsOfValues, valuesOfSet } from './schemas.ts';

const root = path.resolve(import.meta.dirname, '../..');
const common = valued('-n', '--namespace', '--kube-context');
const values = valued('-f', '--values', '--set', '--set-string', '--set-file', '--version');
const waits = { ...switches('--wait', '--no-hooks', '--dry-run'), ...valued('--timeout') };

const commands: Readonly<Record<string, Flags>> = {
  install: { ...values, ...waits, ...switches('--create-namespace', '--skip-crds') },
  upgrade: {
    ...values,
    ...waits,
    ...switches('--install', '--create-namespace', '--reuse-values', '--reset-then-reuse-values', '--reset-values'),
  },
  uninstall: { ...waits, ...switches('--keep-history') },
  rollback: waits,
  test: { ...switches('--logs'), ...valued('--timeout') },
  template: { ...values, ...switches('--include-crds', '--no-hooks'), ...valued('--show-only', '--kube-version') },
  status: {},
  history: {},
  list: switches('-A', '--all-namespaces'),
  'get values': switches('--all', '-a'),
  'get manifest': {},
  push: {},
  'show crds': {},
  'show values': {},
};

/** How pages write our chart: its folder here, or a word for wherever it is. */
const isOurs = (chart: string): boolean => chart === 'CHART' || chart.startsWith('charts/');

/** What is wrong with `helm` and these words. */
export function problemsOfHelm(words: readonly string[]): readonly string[] {
  const name = [words.slice(0, 2).join(' '), words[0] ?? ''].find((candidate) => candidate in commands);
  if (name === undefined) return [`helm ${words[0]}: unknown command`];
  const line = readLine(words.slice(name.split(' ').length), { ...common, ...commands[name] });
  const chart = line.positionals.find(isOurs);
  const missing = chart?.startsWith('charts/') === true && !existsSync(path.join(root, chart)) ? [`no such chart: ${chart}`] : [];
  const set = chart === undefined ? [] : (line.values.get('--set') ?? []);
  const wrong = set.length === 0 ? [] : problemsOfValues(valuesOfSet(set)).map((problem) => `--set ${set.join()}: ${problem}`);
  return [...line.problems, ...missing, ...wrong].map((problem) => `helm ${name}: ${problem}`);
}
