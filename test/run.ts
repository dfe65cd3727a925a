// `npm test` and its tiers. Every tier runs on node:test's own runner; the last line sums them up.
import { spawn } from 'node:child_process';
import path from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';

const root = path.resolve(import.meta.dirname, '..');
const bin = path.join(root, 'node_modules', '.bin');

interface Tier {
  /** What it needs beyond Node, for --help and for whoever wonders why it takes longer. */
  about: string;
  globs: string[];
  /** Unit tests share one process, which is fifteen times faster; the others own what they start. */
  isolation: 'none' | 'process';
  /** Files at a time. */
  concurrency: number;
}

const tiers = {
  unit: {
    about: 'pure functions and small parts',
    globs: [
      '{api,common,lib,webhook,controller,broker,sidecar,tools}/**/*.test.ts',
      'test/{azure,cluster,demo}/**/*.test.ts',
      'test/*.test.ts',
    ],
    isolation: 'none',
    concurrency: 1,
  },
  chart: { about: 'the chart through the real helm', globs: ['test/chart/**/*.test.ts'], isolation: 'process', concurrency: 1 },
  netns: { about: 'real iptables in network namespaces (root)', globs: ['test/netns/**/*.test.ts'], isolation: 'process', concurrency: 1 },
  integration: {
    about: 'real API server and etcd, our programs as processes, the Azure emulator',
    globs: ['test/integration/**/*.test.ts'],
    isolation: 'process',
    concurrency: 2,
  },
  e2e: { about: 'the whole in the one-node cluster (root)', globs: ['test/e2e/**/*.test.ts'], isolation: 'process', concurrency: 1 },
} as const satisfies Record<string, Tier>;

type TierName = keyof typeof tiers;
const tierNames = Object.keys(tiers) as TierName[];

interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

async function runTier(name: TierName): Promise<Counts> {
  const tier: Tier = tiers[name];
  console.log(`\n=== ${name}: ${tier.about}`);
  const stream = run({
    cwd: root,
    globPatterns: tier.globs,
    isolation: tier.isolation,
    // For one file: a process that cannot end fails here and not at the end of CI's patience.
    timeout: 8 * 60_000,
    ...(tier.isolation === 'process' ? { concurrency: tier.concurrency } : {}),
  });
  const counts: Counts = { passed: 0, failed: 0, skipped: 0 };
  stream.on('test:summary', (summary) => {
    // A summary without a file is the one of the whole run.
    if (summary.file !== undefined) return;
    counts.passed = summary.counts.passed;
    counts.skipped = summary.counts.skipped + summary.counts.todo;
    counts.failed = summary.counts.tests - counts.passed - counts.skipped;
  });
  for await (const chunk of stream.compose(spec)) process.stdout.write(chunk as string | Uint8Array);
  if (counts.passed + counts.failed + counts.skipped === 0) {
    console.error(`${name}: no test ran`);
    counts.failed = 1;
  }
  return counts;
}

/** Types, lint and format, all at once; each prints only when it has something to say. */
async function runStatic(): Promise<boolean> {
  console.log('=== types, lint, format');
  const commands: [string, string[]][] = [
    [path.join(bin, 'tsc'), ['-p', '.']],
    [path.join(bin, 'tsc'), ['-p', 'sidecar']],
    [path.join(bin, 'biome'), ['check', '--error-on-warnings', '.']],
  ];
  const codes = await Promise.all(
    commands.map(
      ([command, args]) =>
        new Promise<number | null>((resolve, reject) => {
          const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
          child.on('error', reject).on('close', resolve);
        }),
    ),
  );
  return codes.every((code) => code === 0);
}

const [only] = process.argv.slice(2);
const isTier = (name: string): name is TierName => tierNames.some((tier) => tier === name);
if (only !== undefined && only !== 'check' && !isTier(only)) {
  console.error(`unknown tier ${only}: accepted is check, ${tierNames.join(', ')} or nothing for all of it`);
  process.exit(2);
}

const total: Counts = { passed: 0, failed: 0, skipped: 0 };
let clean = true;
if (only === undefined || only === 'check') clean = await runStatic();
const chosen: TierName[] = only === undefined ? tierNames : only === 'check' ? ['unit'] : isTier(only) ? [only] : [];
for (const name of chosen) {
  const counts = await runTier(name);
  total.passed += counts.passed;
  total.failed += counts.failed;
  total.skipped += counts.skipped;
}
if (!clean) console.error('\ntypes, lint or format: see the messages at the top');
// A machine that may skip is a person's; CI has everything, so there a skip hides something.
const mustNotSkip = process.env.CI !== undefined && total.skipped > 0;
if (mustNotSkip) console.error(`\n${total.skipped} skipped, which CI does not accept: see the reasons above`);
console.log(`\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exit(total.failed > 0 || !clean || mustNotSkip ? 1 : 0);
