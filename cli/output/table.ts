import type { Style } from './style.ts';

/** Columns as kubectl prints them: two blanks between, the widest cell decides. Empty cells show `-`. */
export function table(head: readonly string[], rows: readonly (readonly string[])[], style: Style): string {
  const all = [head, ...rows.map((row) => row.map((cell) => cell || '-'))];
  const widths = head.map((_, column) => Math.max(...all.map((row) => (row[column] ?? '').length)));
  const lines = all.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('   ')
      .trimEnd(),
  );
  return `${[style.heading(lines[0] ?? ''), ...lines.slice(1)].join('\n')}\n`;
}

/** As kubectl shows an age. */
export function age(seconds: number): string {
  if (seconds < 120) return `${seconds}s`;
  if (seconds < 2 * 3600) return `${Math.floor(seconds / 60)}m`;
  return seconds < 2 * 86_400 ? `${Math.floor(seconds / 3600)}h` : `${Math.floor(seconds / 86_400)}d`;
}
