// A title is read alone: in the summary of a failed run, and as the text to search for.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { listFiles } from './runner/tiers.ts';

const root = path.resolve(import.meta.dirname, '..');
const most = 79;
/** A call of `it` or `test` with its first argument: text in quotes, or the beginning of something else. */
const calls = /(?<![\w.'"`$])(?:it|test|t\.test)\(\s*(?:(['"`])((?:\\.|(?!\1)[^\\])*)\1|([^'"`\s]{1,20}))/g;
const placeholders = /\$\{(?:[^{}]|\{[^{}]*\})*\}/g;

function problemsOf(source: string): string[] {
  const titles = new Set<string>();
  const problems: string[] = [];
  for (const [, , title, other] of source.matchAll(calls)) {
    if (title === undefined) {
      // The titles of a table of cases.
      if (other !== 'title,') problems.push(`not text: ${other}`);
      continue;
    }
    if (title.replaceAll(placeholders, '…').length > most) problems.push(`longer than ${most} characters: ${title}`);
    if (titles.has(title)) problems.push(`twice: ${title}`);
    titles.add(title);
  }
  return problems;
}

describe('titles of tests', () => {
  it('are texts of less than 80 characters, each once in its file', () => {
    const problems = Object.values(listFiles())
      .flat()
      .flatMap((file) => problemsOf(readFileSync(path.join(root, file), 'utf8')).map((problem) => `${file}: ${problem}`));
    assert.deepEqual(problems, []);
  });

  it('are reported when they are long, repeated or computed', () => {
    const long = 'x'.repeat(80);
    const template = `\${${'y'.repeat(80)}}`;
    // Not written as calls, so that this file itself stays clean.
    const titles = [`'a'`, 'name', 'title', '"a"', `\`${long}\``, `\`${template}\``];
    const source = titles.map((title) => `  ${'it'}(${title}, f);`).join('\n');
    assert.deepEqual(problemsOf(`${source} unit('c');`), ['not text: name,', 'twice: a', `longer than 79 characters: ${long}`]);
  });
});
