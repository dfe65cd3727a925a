import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { bundle, imageNames, images, licensesOf, programNames } from './build.ts';
import { licenseOf, packagesOf } from './licenses.ts';

const root = path.resolve(import.meta.dirname, '..');
// All at once, in the processes of esbuild.
const bundles = new Map(programNames.map((name) => [name, bundle(name, { write: false })]));
const inputsOf = async (programs: readonly (typeof programNames)[number][]) =>
  (await Promise.all(programs.map(async (name) => (await bundles.get(name))?.inputs ?? []))).flat();

const folders: string[] = [];
after(() => {
  for (const folder of folders) rmSync(folder, { recursive: true });
});

/** A package with these files. */
function packageWith(files: Record<string, string>, name = 'some-package'): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'licenses-'));
  folders.push(folder);
  writeFileSync(path.join(folder, 'package.json'), JSON.stringify({ name, version: '1.2.3', license: 'MIT' }));
  mkdirSync(path.join(folder, 'lib'));
  for (const [file, text] of Object.entries(files)) writeFileSync(path.join(folder, file), text);
  return folder;
}

describe('licence texts', () => {
  for (const image of imageNames)
    it(`of the image ${image} cover its runtime and every package of its bundles`, async () => {
      const inputs = await inputsOf(images[image].programs);
      const text = licensesOf(image, inputs);
      const used = new Set(inputs.filter((input) => input.includes('node_modules/')).map((input) => input.split('node_modules/').at(-1)));
      const names = [...used].map((file) => {
        const [first = '', second = ''] = file?.split('/') ?? [];
        return first.startsWith('@') ? `${first}/${second}` : first;
      });
      assert.equal(names.length > 0, image === 'control-plane');
      for (const name of names) assert.ok(text.includes(`\n${name} `), name);
      assert.match(text, images[image].runtime === 'node' ? /OpenSSL, located at deps\/openssl/ : /statically links JavaScriptCore/);
    });

  it('are those of a package, with its notices, whatever the files are called', () => {
    const files = { LICENSE: 'terms', 'NOTICE.md': 'notice', 'license-mit.txt': 'more terms', 'licenses.js': 'code' };
    assert.deepEqual(licenseOf(packageWith(files)), { title: 'some-package 1.2.3 (MIT)', texts: ['terms', 'notice', 'more terms'] });
    assert.deepEqual(licenseOf(packageWith({ UNLICENSE: 'public domain' })).texts, ['public domain']);
  });

  it('fail the build for a package without one, and say where to put it', () => {
    const folder = packageWith({ 'index.js': '' }, '@scope/none');
    assert.throws(() => licenseOf(folder), /@scope\/none \(MIT\) .* put the text into tools\/licenses\/@scope__none\.txt/);
  });

  it('of our own are for bundled packages that have none', async () => {
    const packages = packagesOf(await inputsOf(programNames)).map((folder) => path.join(root, folder));
    for (const file of readdirSync(path.join(import.meta.dirname, 'licenses'))) {
      const name = file.replace(/\.txt$/, '').replace('__', '/');
      const folder = packages.find((one) => one.endsWith(`node_modules/${name}`));
      assert.ok(folder !== undefined, `${name} is in no bundle`);
      assert.deepEqual(licenseOf(folder).texts, [readFileSync(path.join(import.meta.dirname, 'licenses', file), 'utf8')]);
    }
  });
});
