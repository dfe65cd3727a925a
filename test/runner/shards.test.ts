import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { pathToFileURL } from 'node:url';
import { shardsFor } from './shards.ts';

let folder: string;
before(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'shards-'));
});
after(() => rmSync(folder, { recursive: true }));

/** Runs test files with these bodies, each in a shard of its own, in another process, which keeps their reports out of this one's. */
function runBodies(...bodies: string[]): { counts: unknown; output: string } {
  const files = bodies.map((body, index) => {
    const file = path.join(folder, `${index}.test.mjs`);
    writeFileSync(file, `import { test } from 'node:test';\n${body}`);
    return file;
  });
  const module = pathToFileURL(path.join(import.meta.dirname, 'shards.ts')).href;
  const script = `const { runShards } = await import('${module}');
    console.error(JSON.stringify(await runShards(${JSON.stringify(files)}, ${files.length})));`;
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { env, encoding: 'utf8' });
  return { counts: JSON.parse(stderr), output: stdout };
}

describe('runShards', () => {
  it('adds up the counts of all processes and prints their reports', () => {
    const { counts, output } = runBodies(`test('one', () => {}); test.skip('two');`, `test('three', () => { throw new Error('no'); });`);
    assert.deepEqual(counts, { passed: 1, failed: 1, skipped: 1 });
    for (const name of ['one', 'two', 'three']) assert.match(output, new RegExp(name));
  });

  it('counts a process that ends without a result as a failure', () => {
    const { counts } = runBodies(`test('one', () => {});`, `process.kill(process.pid, 'SIGKILL');`);
    assert.deepEqual(counts, { passed: 1, failed: 1, skipped: 0 });
  });
});

describe('shardsFor', () => {
  it('needs one process for few files and no more processes than processors', () => {
    const files = (count: number) => Array.from({ length: count }, (_, index) => `${index}.test.ts`);
    assert.deepEqual([shardsFor(files(1)), shardsFor(files(10_000))], [1, availableParallelism()]);
  });
});
