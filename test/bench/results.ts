// Text of what the benches measured: for the terminal, and as a page.
import os from 'node:os';
import type { Row } from './table.ts';

export interface Table {
  bench: string;
  seconds: number;
  rows: readonly Row[];
}

export interface Machine {
  processor: string;
  processors: number;
  memoryGiB: number;
  kernel: string;
  node: string;
}

export const thisMachine = (): Machine => ({
  processor: os.cpus()[0]?.model ?? 'unknown',
  processors: os.availableParallelism(),
  memoryGiB: Math.round(os.totalmem() / 2 ** 30),
  kernel: `${os.type()} ${os.release().split('-')[0]}`,
  node: process.version,
});

const columns = ['', 'measured', 'reference, same run', 'ratio', 'goal', ''] as const;

function cellsOf({ what, measured, reference, ratio, goal, isMet }: Row): string[] {
  return [what, measured, reference, ratio, goal, isMet === undefined ? '' : isMet ? 'met' : 'missed'];
}

/** Columns of equal width. */
export function plainTable(rows: readonly Row[]): string {
  const all = [[...columns], ...rows.map(cellsOf)];
  const width = columns.map((_, column) => Math.max(...all.map((cells) => cells[column]?.length ?? 0)));
  const line = (cells: readonly string[]) => cells.map((cell, column) => cell.padEnd(width[column] ?? 0)).join('  ');
  return all.map((cells) => line(cells).trimEnd()).join('\n');
}

/** Markdown. `commit` is the abbreviated hash, with `-dirty` where the tree differs from it. */
export function resultsPage(
  tables: readonly Table[],
  { machine, commit, date }: { machine: Machine; commit: string; date: string },
): string {
  const { processor, processors, memoryGiB, kernel, node } = machine;
  const missed = tables.flatMap(({ rows }) => rows.filter(({ isMet }) => isMet === false)).length;
  const goals = tables.flatMap(({ rows }) => rows.filter(({ isMet }) => isMet !== undefined)).length;
  return [
    '# Results of the benches',
    '',
    `\`npm run bench\` writes this page. Commit ${commit}, ${date}; ${processors} × ${processor}, ${memoryGiB} GiB, ${kernel}, Node ${node}.`,
    'A goal with a reference is a ratio to it: machines differ, and the reference is measured in the same run.',
    '',
    `${goals - missed} of ${goals} goals are met.`,
    ...tables.flatMap(({ bench, seconds, rows }) => ['', `## ${bench}`, '', `Took ${Math.round(seconds)} s.`, '', ...markdownTable(rows)]),
    '',
  ].join('\n');
}

function markdownTable(rows: readonly Row[]): string[] {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.trim().replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(columns), line(columns.map(() => '---')), ...rows.map((each) => line(cellsOf(each)))];
}
