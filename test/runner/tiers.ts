// The tiers of tests, and which of their files the paths of a command line name.
import { globSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '../..');
/** Each file of the upper tiers starts many processes, so that memory is the limit of a large machine. */
const processors = Math.min(availableParallelism(), 4);

export interface Tier {
  /** What it needs beyond Node. */
  about: string;
  globs: readonly string[];
  /** Unit tests share a process; files of other tiers own the processes that they start. */
  isolation: 'none' | 'process';
  /** Files at a time. */
  concurrency: number;
  /** Files that take the longest. They start first, so that none is left over at the end. */
  longest?: readonly string[];
  /** Files with nothing beside them, because they load the machine as much as they can. */
  alone?: readonly string[];
  /** Its files have a pool of control planes (test/runner/control-plane-pool.ts). */
  controlPlanes?: boolean;
}

export const tiers = {
  unit: {
    about: 'pure functions and small parts',
    globs: [
      '{api,cli,common,lib,webhook,controller,broker,sidecar,tools}/**/*.test.ts',
      'test/{azure,bench,cluster,demo,runner}/**/*.test.ts',
      'test/*.test.ts',
    ],
    isolation: 'none',
    concurrency: 1,
  },
  chart: { about: 'the chart through the real helm', globs: ['test/chart/**/*.test.ts'], isolation: 'process', concurrency: processors },
  netns: { about: 'real iptables in network namespaces (root)', globs: ['test/netns/**/*.test.ts'], isolation: 'process', concurrency: 1 },
  integration: {
    about: 'real API server and etcd, our programs as processes, the Azure emulator',
    globs: ['test/integration/**/*.test.ts'],
    isolation: 'process',
    // They wait for a third of their time.
    concurrency: processors + 1,
    controlPlanes: true,
    longest: ['tokens', 'kill', 'federation', 'model', 'coexistence', 'node-endpoint'].map(
      (name) => `test/integration/controller/${name}.test.ts`,
    ),
  },
  e2e: {
    about: 'the whole in the one-node cluster (root)',
    globs: ['test/e2e/**/*.test.ts'],
    isolation: 'process',
    concurrency: processors,
    longest: ['test/e2e/product.test.ts', 'test/e2e/guard.test.ts'],
    alone: ['test/e2e/load.test.ts'],
  },
} as const satisfies Record<string, Tier>;

export type TierName = keyof typeof tiers;
/** In the order in which they run. */
export const tierNames = Object.keys(tiers) as TierName[];
export const isTierName = (name: string): name is TierName => Object.hasOwn(tiers, name);

/** Test files of each tier, relative to the repository's root. */
export type TierFiles = Record<TierName, readonly string[]>;

const ofEachTier = <T>(of: (name: TierName) => T): Record<TierName, T> => ({
  unit: of('unit'),
  chart: of('chart'),
  netns: of('netns'),
  integration: of('integration'),
  e2e: of('e2e'),
});

/** In the order in which they start. */
export const listFiles = (): TierFiles =>
  ofEachTier((name) => {
    const { globs, longest = [] }: Tier = tiers[name];
    const found = globSync([...globs], { cwd: root }).sort();
    return [...longest.filter((file) => found.includes(file)), ...found.filter((file) => !longest.includes(file))];
  });

/** A path of the command line that names no test file of the wanted tier. */
export class SelectionError extends Error {
  override readonly name = 'SelectionError';
}

/**
 * The files to run. A path is a test file or a folder of them, from the root; without paths it is every file. `only` limits the choice to one tier.
 */
export function selectFiles(files: TierFiles, only: TierName | undefined, paths: readonly string[]): TierFiles {
  const wanted = paths.map((given) => path.relative(root, path.resolve(root, given)));
  const isUnder = (file: string, place: string) => place === '' || file === place || file.startsWith(`${place}/`);
  const isChosen = (name: TierName) => only === undefined || only === name;
  for (const [index, place] of wanted.entries()) {
    const found = tierNames.filter((name) => files[name].some((file) => isUnder(file, place)));
    if (found.some(isChosen)) continue;
    const [tier] = found;
    throw new SelectionError(
      tier === undefined
        ? `no test file at ${paths[index]}: a path is a *.test.ts file or a folder, from the root of the repository`
        : `${paths[index]} is not in the tier ${only}: npm run test:${tier} -- ${paths[index]}`,
    );
  }
  const isSelected = (file: string) => wanted.length === 0 || wanted.some((place) => isUnder(file, place));
  return ofEachTier((name) => (isChosen(name) ? files[name].filter(isSelected) : []));
}
