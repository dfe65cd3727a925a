// How text is marked: colours and ticks where a terminal shows them, plain words elsewhere.
import { styleText } from 'node:util';
import type { Finding } from '../finding.ts';

export type Mark = Finding['status'];

export interface Style {
  mark(mark: Mark): string;
  heading(text: string): string;
  strong(text: string): string;
  /** Less important. */
  faint(text: string): string;
}

const plainMarks: Record<Mark, string> = {
  passed: '[ok]     ',
  skipped: '[skipped]',
  waiting: '[waiting]',
  warning: '[warning]',
  broken: '[broken] ',
  unknown: '[unknown]',
};

export const plain: Style = {
  mark: (mark) => plainMarks[mark],
  heading: (text) => text,
  strong: (text) => text,
  faint: (text) => text,
};

/** The caller decides whether colours are wanted, not the stream. */
const paint = (format: Parameters<typeof styleText>[0], text: string): string => styleText(format, text, { validateStream: false });

const ticks: Record<Mark, string> = {
  passed: paint('green', '✓'),
  skipped: paint('dim', '-'),
  waiting: paint('cyan', '…'),
  warning: paint('yellow', '!'),
  broken: paint('red', '✗'),
  unknown: paint('magenta', '?'),
};

export const coloured: Style = {
  mark: (mark) => ticks[mark],
  heading: (text) => paint('bold', text),
  strong: (text) => paint('bold', text),
  faint: (text) => paint('dim', text),
};

/** NO_COLOR is https://no-color.org. */
export function styleFor(
  color: 'auto' | 'always' | 'never',
  output: { isTerminal: boolean; env: Readonly<Record<string, string | undefined>> },
): Style {
  if (color !== 'auto') return color === 'always' ? coloured : plain;
  return output.isTerminal && (output.env.NO_COLOR ?? '') === '' && output.env.TERM !== 'dumb' ? coloured : plain;
}
