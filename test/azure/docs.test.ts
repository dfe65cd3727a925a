// docs/emulator.md is the only place that tells people what there is: nothing may be missing in it.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { menu } from './faults/menu.ts';
import { settings } from './state/settings.ts';

const text = readFileSync(new URL('../../docs/emulator.md', import.meta.url), 'utf8');

test('docs/emulator.md names every fault and every setting', () => {
  const { imds, arm, entra, limits, ...top } = settings({}, '');
  const named = [
    ...Object.keys(top),
    ...Object.entries({ imds, arm, entra, limits }).flatMap(([group, fields]) => Object.keys(fields).map((name) => `${group}.${name}`)),
    ...Object.keys(menu),
  ];
  assert.deepEqual(
    named.filter((name) => !text.includes(`\`${name}\``)),
    [],
  );
});
