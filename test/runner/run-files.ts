// Runs test files on node:test's own runner and prints what they report.
import { run } from 'node:test';
import { spec } from 'node:test/reporters';

export interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

export interface RunOptions {
  /** `none`: all files share this process. */
  isolation: 'none' | 'process';
  /** Files at a time; matters to `process` only. */
  concurrency: number;
  watch: boolean;
  coverage: boolean;
}

/** What a report of coverage leaves out. */
const notMeasured = ['{test,tools}/**', '**/*.test.ts', '**/testing/**', '**/*testing.ts', '**/fixtures.ts'];

export async function runFiles(files: readonly string[], { isolation, concurrency, watch, coverage }: RunOptions): Promise<Counts> {
  const stream = run({
    files: [...files],
    isolation,
    watch,
    // For one file: a process that cannot end fails here and not at the end of CI's patience.
    timeout: watch ? Number.POSITIVE_INFINITY : 8 * 60_000,
    ...(isolation === 'process' ? { concurrency } : {}),
    ...(coverage ? { coverage, coverageExcludeGlobs: notMeasured } : {}),
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
  return counts;
}

export const sumOf = (all: readonly Counts[]): Counts => ({
  passed: all.reduce((sum, { passed }) => sum + passed, 0),
  failed: all.reduce((sum, { failed }) => sum + failed, 0),
  skipped: all.reduce((sum, { skipped }) => sum + skipped, 0),
});
