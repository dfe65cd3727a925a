// The table of a bench: each row is printed to stderr at once, the whole table to stdout at the end.
let rows: string[][] = [];

/** What is good: at most, or at least, this value. */
export type Target = { atMost: number } | { atLeast: number };

export function row(what: string, value: number, unit: string, target?: Target): void {
  const measured = `${round(value)} ${unit}`;
  rows.push([what, measured, ...(target === undefined ? ['', ''] : against(value, unit, target))]);
  console.error(`  ${what}: ${measured}`);
}

/** A row without a target, for comparison. */
export function textRow(what: string, measured: string): void {
  rows.push([what, measured, '', '']);
}

export function printTable(): void {
  const all = [['', 'measured', 'target', 'ratio (1 or less is good)'], ...rows];
  const width = [0, 1, 2].map((column) => Math.max(...all.map((cells) => cells[column]?.length ?? 0)));
  for (const cells of all)
    console.log(
      cells
        .map((cell, column) => cell.padEnd(width[column] ?? 0))
        .join('  ')
        .trimEnd(),
    );
  rows = [];
}

export const round = (value: number): string => (Math.abs(value) >= 100 ? Math.round(value).toString() : value.toFixed(2));

function against(value: number, unit: string, target: Target): [target: string, ratio: string] {
  return 'atMost' in target
    ? [`<= ${target.atMost} ${unit}`, round(value === target.atMost ? 1 : value / target.atMost)]
    : [`>= ${target.atLeast} ${unit}`, round(target.atLeast / value)];
}

export const quantile = (values: readonly number[], share: number): number =>
  values.toSorted((a, b) => a - b)[Math.ceil(values.length * share) - 1] ?? Number.NaN;

export const median = (values: readonly number[]): number => quantile(values, 0.5);
