import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { describe, it } from 'node:test';

const root = path.resolve(import.meta.dirname, '../..');

function runTests(...args: string[]): { code: number | null; stdout: string; stderr: string } {
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const { status, stdout, stderr } = spawnSync(process.execPath, [path.join(root, 'test/run.ts'), ...args], { env, encoding: 'utf8' });
  return { code: status, stdout, stderr };
}

describe('npm test', () => {
  it('runs only the test file that is named', () => {
    const { code, stdout } = runTests('unit', 'test/azure/core/random.test.ts');
    assert.match(stdout, /\n[1-9] passed, 0 failed, 0 skipped\n$/);
    assert.equal(code, 0);
  });

  it('ends with code 2 and one line when a path names no test file', () => {
    const { code, stdout, stderr } = runTests('unit', 'webhook/no-such.test.ts');
    assert.deepEqual([code, stdout], [2, '']);
    assert.match(stderr, /^no test file at webhook\/no-such\.test\.ts: .*\n$/);
  });

  it('ends with code 2 and one line at an unknown option', () => {
    const { code, stderr } = runTests('unit', '--wach');
    assert.equal(code, 2);
    assert.match(stderr, /^Unknown option '--wach'.*\n$/);
  });

  it('lists tiers and checks with --help', () => {
    const { code, stdout } = runTests('--help');
    assert.equal(code, 0);
    for (const name of ['unit', 'chart', 'netns', 'integration', 'e2e', 'typecheck', 'lint', 'knip', 'format'])
      assert.match(stdout, new RegExp(`^ {2}${name} `, 'm'));
  });
});
