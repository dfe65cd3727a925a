// Holds the tests against the list: every row of spec/azure-protocols.md 8.1-8.4 has a test that carries its name.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';

const count = (letter: string, last: number) => Array.from({ length: last }, (_, index) => `${letter}${index + 1}`);

const faults = [
  'latency',
  'hang',
  'half-open',
  'reset',
  'slow body',
  'IMDS 404 burst',
  'IMDS 410 window',
  'IMDS 429',
  'IMDS 500 in text',
  'IMDS propagation lag',
  'connection refused',
  'Entra errors',
  'clock skew',
  'key roll',
  'operation time',
  'operation end',
  'conflict',
  'throttling',
  'partial failure',
  'foreign writer',
  'authorisation',
  'expired token',
  'clock:',
];

const titles = readdirSync(import.meta.dirname)
  .filter((file) => file.endsWith('.test.ts'))
  .flatMap((file) =>
    [...readFileSync(path.join(import.meta.dirname, file), 'utf8').matchAll(/^ *test\(\s*['"`](.*)/gm)].map(([, title = '']) => title),
  );

for (const row of [...count('I', 16), ...count('A', 15), ...count('E', 7)]) {
  test(`row ${row} has a test`, () => assert.ok(titles.some((title) => title.startsWith(`${row} `))));
}
for (const fault of faults) {
  test(`the fault "${fault}" has a test`, () => assert.ok(titles.some((title) => title.startsWith('8.4 ') && title.includes(fault))));
}
