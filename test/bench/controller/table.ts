// The table that a bench prints: each row at once to stderr, all of them at the end to stdout.
const rows: string[][] = [];

/** A target is the most that is good. */
export function row(what: string, value: number, unit: string, target?: number): void {
  const shown = value >= 100 ? Math.round(value) : value.toFixed(2);
  const targeted = target === undefined ? ['', ''] : [`<= ${target} ${unit}`, (value / target).toFixed(2)];
  rows.push([what, `${shown} ${unit}`, ...targeted]);
  console.error(`  ${what}: ${shown} ${unit}`);
}

export function printTable(): void {
  const all = [['', 'measured', 'target', 'ratio (1 or less is good)'], ...rows];
  const width = [0, 1, 2].map((column) => Math.max(...all.map((cells) => cells[column]?.length ?? 0)));
  for (const cells of all) console.log(cells.map((cell, column) => cell.padEnd(width[column] ?? 0)).join('  '));
}
