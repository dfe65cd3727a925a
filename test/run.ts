// `npm test`, its tiers and its checks. Every tier runs on node:test's own runner; the last lines sum up all stages.
import path from 'node:path';
import { parseArgs } from 'node:util';
import { poolVariable } from './harness/control-plane.ts';
import type { CheckName } from './runner/checks.ts';
import { checkNames, checks, format, isCheckName, runCheck } from './runner/checks.ts';
import { startControlPlanePool } from './runner/control-plane-pool.ts';
import { prepare } from './runner/prepare.ts';
import type { Counts, RunOptions } from './runner/run-files.ts';
import { runFiles, sumOf } from './runner/run-files.ts';
import { runShards, shardsFor } from './runner/shards.ts';
import type { Tier, TierFiles, TierName } from './runner/tiers.ts';
import { isTierName, listFiles, SelectionError, selectFiles, tierNames, tiers } from './runner/tiers.ts';

const list = (entries: Record<string, { about: string }>) =>
  Object.entries(entries)
    .map(([name, { about }]) => `  ${name.padEnd(12)} ${about}`)
    .join('\n');

const usage = `Usage: npm test [-- PATH ...]          all checks and all tiers; with paths only these tests
       npm run check                  all checks and the tier unit
       npm run test:TIER [-- PATH ...]
       npm run test:watch [-- PATH ...]
       npm run coverage [-- PATH ...]

A PATH is a test file or a folder of test files, from the root: npm run test:unit -- lib/identities/decision/decide.test.ts

Tiers:
${list(tiers)}

Checks, each with a script of its own (npm run lint):
${list(checks)}
  format       writes what lint complains of, where that is safe
`;

interface Options {
  watch: boolean;
  coverage: boolean;
}

interface Stage {
  name: string;
  result: string;
  seconds: number;
}
const stages: Stage[] = [];

async function timed<T>(name: string, work: () => Promise<T>, resultOf: (value: T) => string): Promise<T> {
  const began = performance.now();
  const value = await work();
  stages.push({ name, result: resultOf(value), seconds: (performance.now() - began) / 1000 });
  return value;
}

async function runTier(name: TierName, files: readonly string[], { watch, coverage }: Options): Promise<Counts> {
  const tier: Tier = tiers[name];
  console.log(`\n=== ${name}: ${tier.about}`);
  const shards = tier.isolation === 'none' && !watch && !coverage ? shardsFor(files) : 1;
  // A watch starts again only those files that a change concerns, which needs a process for each.
  const isolation = watch ? 'process' : tier.isolation;
  // A watch never comes to what runs after it.
  const alone = watch ? [] : (tier.alone ?? []);
  const run = () => (shards > 1 ? runShards(files, shards) : runInTurn(files, alone, { ...tier, isolation, watch, coverage }));
  const counts = await (tier.controlPlanes === true ? withControlPlanes(run) : run());
  if (counts.passed + counts.failed + counts.skipped > 0) return counts;
  console.error(`${name}: no test ran`);
  return { ...counts, failed: 1 };
}

/** Those that must be alone come last, one after the other. */
async function runInTurn(files: readonly string[], alone: readonly string[], options: RunOptions): Promise<Counts> {
  const [last, first] = [files.filter((file) => alone.includes(file)), files.filter((file) => !alone.includes(file))];
  const counts: Counts[] = [];
  if (first.length > 0) counts.push(await runFiles(first, options));
  if (last.length > 0) counts.push(await runFiles(last, { ...options, concurrency: 1 }));
  return sumOf(counts);
}

/** The files that `run` starts share control planes. */
async function withControlPlanes<T>(run: () => Promise<T>): Promise<T> {
  const pool = await startControlPlanePool();
  process.env[poolVariable] = pool.url;
  try {
    return await run();
  } finally {
    delete process.env[poolVariable];
    await pool.stop();
  }
}

async function runTiers(files: TierFiles, options: Options): Promise<Counts> {
  const all: Counts[] = [];
  const chosen = tierNames.filter((each) => files[each].length > 0);
  await timed(
    'prepare',
    () => prepare(chosen, (line) => console.log(line)),
    () => 'ok',
  );
  for (const name of chosen) {
    const counts = await timed(
      name,
      () => runTier(name, files[name], options),
      ({ passed, failed, skipped }) => `${passed} passed, ${failed} failed, ${skipped} skipped`,
    );
    all.push(counts);
  }
  return sumOf(all);
}

/** Runs them at once; what one of them prints comes in one piece, when it ends. */
async function runChecks(names: readonly CheckName[]): Promise<boolean> {
  const results = await Promise.all(
    names.map(async (name) => {
      const result = await timed(
        name,
        () => runCheck(name),
        ({ passed }) => (passed ? 'ok' : 'failed'),
      );
      console.log(`=== ${name}: ${result.passed ? 'ok' : `failed\n${result.output.trimEnd()}`}`);
      return result.passed;
    }),
  );
  return results.every((passed) => passed);
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      watch: { type: 'boolean', default: false },
      coverage: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(usage);
    return 0;
  }
  const [first = '', ...rest] = positionals;
  if (first === 'format') {
    const { passed, output } = await format();
    process.stdout.write(output);
    return passed ? 0 : 1;
  }
  if (isCheckName(first)) return (await runChecks([first])) ? 0 : 1;

  // Small files spend most of their time on loading packages. What coverage measures must not come from a cache.
  if (!values.coverage) process.env.NODE_COMPILE_CACHE ??= path.resolve(import.meta.dirname, '../node_modules/.cache/node-compile');
  const only = first === 'check' ? 'unit' : isTierName(first) ? first : undefined;
  const paths = only === undefined ? positionals : rest;
  const files = selectFiles(listFiles(), only, paths);
  const isWhole = first === 'check' || (only === undefined && paths.length === 0);
  // The checks use the processor while unit tests wait.
  const [clean, total] = await Promise.all([isWhole ? runChecks(checkNames) : true, runTiers(files, values)]);
  return sumUp(clean, total);
}

function sumUp(clean: boolean, total: Counts): number {
  console.log('\n=== stages');
  for (const { name, result, seconds } of stages) console.log(`${name.padEnd(12)} ${`${seconds.toFixed(1)} s`.padStart(8)}  ${result}`);
  // A machine that may skip is a person's; CI has everything, so there a skip hides something.
  const mustNotSkip = process.env.CI !== undefined && total.skipped > 0;
  if (mustNotSkip) console.error(`${total.skipped} skipped, which CI does not accept: see the reasons above`);
  console.log(`\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
  return total.failed > 0 || !clean || mustNotSkip ? 1 : 0;
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    const isUsage = error instanceof SelectionError || (error instanceof TypeError && 'code' in error);
    console.error(isUsage ? error.message : error);
    process.exit(isUsage ? 2 : 1);
  },
);
