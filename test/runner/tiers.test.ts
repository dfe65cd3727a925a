import assert from 'node:assert/strict';
import { globSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import type { Tier, TierFiles } from './tiers.ts';
import { listFiles, SelectionError, selectFiles, tierNames, tiers } from './tiers.ts';

const none: TierFiles = { unit: [], chart: [], netns: [], integration: [], e2e: [] };
const files: TierFiles = {
  ...none,
  unit: ['webhook/decide.test.ts', 'webhook/parts.test.ts', 'webhooks.test.ts'],
  e2e: ['test/e2e/demo.test.ts'],
};

describe('selectFiles', () => {
  it('selects every file of every tier without a tier and paths', () => {
    assert.deepEqual(selectFiles(files, undefined, []), files);
  });

  it('selects only the files of the wanted tier', () => {
    assert.deepEqual(selectFiles(files, 'e2e', []), { ...none, e2e: files.e2e });
  });

  it('selects the one file that a path names', () => {
    assert.deepEqual(selectFiles(files, 'unit', ['./webhook/decide.test.ts']), { ...none, unit: ['webhook/decide.test.ts'] });
  });

  it('selects all files below a folder, not those of one whose name begins alike', () => {
    assert.deepEqual(selectFiles(files, 'unit', ['webhook/']).unit, ['webhook/decide.test.ts', 'webhook/parts.test.ts']);
  });

  it('finds the tier of each path when none is wanted', () => {
    assert.deepEqual(selectFiles(files, undefined, ['webhooks.test.ts', 'test/e2e']), {
      ...none,
      unit: ['webhooks.test.ts'],
      e2e: files.e2e,
    });
  });

  it('refuses a path that names no test file, even beside one that does', () => {
    const error = new SelectionError(
      'no test file at webhook/decide.ts: a path is a *.test.ts file or a folder, from the root of the repository',
    );
    assert.throws(() => selectFiles(files, 'unit', ['webhook/parts.test.ts', 'webhook/decide.ts']), error);
  });

  it('refuses a path of another tier and names the command that runs it', () => {
    const error = new SelectionError('test/e2e/demo.test.ts is not in the tier unit: npm run test:e2e -- test/e2e/demo.test.ts');
    assert.throws(() => selectFiles(files, 'unit', ['test/e2e/demo.test.ts']), error);
  });
});

describe('listFiles', () => {
  it('puts every test file of the repository into exactly one tier', () => {
    const root = path.resolve(import.meta.dirname, '../..');
    const all = globSync('**/*.test.ts', { cwd: root, exclude: (name) => name === 'node_modules' });
    assert.deepEqual(Object.values(listFiles()).flat().sort(), all.sort());
  });

  it('names no file as the longest or alone that is none', () => {
    const listed = listFiles();
    for (const name of tierNames) {
      const { longest = [], alone = [] }: Tier = tiers[name];
      for (const file of [...longest, ...alone]) assert.ok(listed[name].includes(file), file);
      assert.deepEqual(listed[name].slice(0, longest.length), longest);
    }
  });
});
