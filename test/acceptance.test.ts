// docs/acceptance.md has every row, and names only tests that exist.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';

const root = path.resolve(import.meta.dirname, '..');
const rows = [...readFileSync(path.join(root, 'docs/acceptance.md'), 'utf8').matchAll(/^\| ([EP]\d+) \| (.*?) \| (.*) \|$/gm)].map(
  ([, id = '', demand = '', shown = '']) => ({ id, demand, shown }),
);
const testsOf = (shown: string) =>
  [...shown.matchAll(/`([\w./-]+\.test\.ts)`: `([^`]+)`/g)].map(([, file = '', title = '']) => ({ file, title }));
const numbered = (letter: string, count: number) =>
  Array.from({ length: count }, (_, index) => `${letter}${String(index + 1).padStart(2, '0')}`);

const calls = /\b(?:it|test)\(\s*(['"`])((?:\\.|(?!\1)[^\\])*)\1/g;
function hasTest(file: string, title: string): boolean {
  if (!existsSync(path.join(root, file))) return false;
  return [...readFileSync(path.join(root, file), 'utf8').matchAll(calls)].some(([, , found]) => found === title);
}

describe('the acceptance table', () => {
  it('has every scenario and every feature once, in order', () => {
    assert.deepEqual(
      rows.map(({ id }) => id),
      [...numbered('E', 32), ...numbered('P', 110)],
    );
  });

  it('says of each row what it asks for, and by which test it is shown or why by none', () => {
    const empty = rows.filter(
      ({ demand, shown }) => demand === '' || (testsOf(shown).length === 0 && !/^Not (tested|applicable): ./.test(shown)),
    );
    assert.deepEqual(empty, []);
  });

  it('names only tests that exist', () => {
    const missing = rows.flatMap(({ id, shown }) =>
      testsOf(shown)
        .filter(({ file, title }) => !hasTest(file, title))
        .map(({ file, title }) => `${id}: ${file} has no test '${title}'`),
    );
    assert.deepEqual(missing, []);
  });
});
