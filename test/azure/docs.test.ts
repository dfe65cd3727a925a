// docs/emulator.md is the one list of what the emulator has: it names everything, and tests cover its rows.
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { catalog } from './faults/catalog.ts';
import { settings } from './state/settings.ts';

const root = path.resolve(import.meta.dirname, '../..');
const page = readFileSync(path.join(root, 'docs/emulator.md'), 'utf8');
const sources = globSync('test/integration/azure/*.test.ts', { cwd: root }).map((file) => readFileSync(path.join(root, file), 'utf8'));

test('docs/emulator.md names every kind of fault and every setting', () => {
  const { imds, arm, entra, limits, ...top } = settings({}, '');
  const named = [
    ...Object.keys(catalog),
    ...Object.keys(top),
    ...Object.entries({ imds, arm, entra, limits }).flatMap(([group, fields]) => Object.keys(fields).map((name) => `${group}.${name}`)),
  ];
  assert.deepEqual(
    named.filter((name) => !page.includes(`\`${name}\``)),
    [],
  );
});

test('every row of docs/emulator.md has a test whose title begins with its number', () => {
  const rows = [...page.matchAll(/^\| ([IAEF]\d+) \|/gm)].map(([, row = '']) => row);
  assert.ok(rows.includes('I1') && rows.includes('A15') && rows.includes('E7') && rows.includes('F11'));
  assert.deepEqual(
    rows.filter((row) => !sources.some((source) => new RegExp(`\\btest\\(\\s*['"\`]${row}: `).test(source))),
    [],
  );
});

test('every kind of fault has a test that sets it', () => {
  assert.deepEqual(
    Object.keys(catalog).filter((fault) => !sources.some((source) => source.includes(`'${fault}'`))),
    [],
  );
});
