// Parts of pages that are made of the tables of the code, between the marks `<!-- name -->` and `<!-- /name -->`.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const docs = path.resolve(import.meta.dirname, '../docs');

/** Fails where the page has another text between the marks, each on a line of its own. With UPDATE_GOLDENS=1 it writes the text first. */
export function assertSection(page: string, name: string, expected: string): void {
  assertBetween(page, new RegExp(`(?<=<!-- ${name} -->\n)[\\s\\S]*(?=<!-- /${name} -->)`), expected);
}

/** The same for marks within a line. */
export function assertInline(page: string, name: string, expected: string): void {
  assertBetween(page, new RegExp(`(?<=<!-- ${name} -->).*?(?=<!-- /${name} -->)`), expected);
}

function assertBetween(page: string, pattern: RegExp, expected: string): void {
  const file = path.join(docs, page);
  const text = readFileSync(file, 'utf8');
  if (process.env.UPDATE_GOLDENS === '1')
    writeFileSync(
      file,
      text.replace(pattern, () => expected),
    );
  const found = pattern.exec(readFileSync(file, 'utf8'))?.[0];
  assert.equal(found, expected, `docs/${page} is old: UPDATE_GOLDENS=1 node --test of this file writes it anew`);
}

/** A table of Markdown, after a heading. */
export const tableSection = (heading: string, header: readonly string[], rows: readonly (readonly string[])[]): string =>
  `\n${heading}\n\n${tableBody(header, rows)}`;

export function tableBody(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (row: readonly string[]) => `| ${row.join(' | ')} |`;
  const lines = [line(header), `|${header.map(() => '---|').join('')}`, ...rows.map((row) => line(row.map(cell)))];
  return `${lines.join('\n')}\n`;
}

export const code = (text: string): string => (text === '' ? '' : `\`${text}\``);

/** Outside of code `<id>` would be HTML. */
export const escaped = (text: string): string => text.replaceAll(/`[^`]*`|</g, (part) => (part === '<' ? '&lt;' : part));

/** A bar would end the cell, a line end the row. */
const cell = (text: string): string => escaped(text).replaceAll('|', '\\|').replaceAll('\n', ' ');
