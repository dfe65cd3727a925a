import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, describe, it } from 'node:test';
import { parse } from 'yaml';
import { at, stringAt } from '../../common/records.ts';
import { writeArchive } from './archive.ts';
import { parseArguments } from './arguments.ts';
import { changesOf, releaseNotes } from './changelog.ts';
import { publishedChartYaml } from './chart.ts';
import { publishCommands } from './commands.ts';
import { descriptorOf, imageIndex, layersOf, manifestAt, manifestType, writeIndex } from './oci.ts';
import { problemsOf } from './preconditions.ts';
import { checkIntegrity } from './runtimes.ts';
import { imageSbom } from './sbom.ts';

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});
function temporaryFolder(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'release-'));
  folders.push(folder);
  return folder;
}

describe('arguments of a release', () => {
  it('are a version, and where it is pushed to and comes from', () => {
    assert.deepEqual(parseArguments(['--version', '1.2.3-rc.1', '--registry', 'r.example:5000/a/b', '--source', 'https://example.com/a']), {
      version: '1.2.3-rc.1',
      registry: 'r.example:5000/a/b',
      source: 'https://example.com/a',
    });
    assert.equal(parseArguments(['--version', '1.2.3']).registry, undefined);
  });

  for (const [what, args, message] of [
    ['no version', [], /^--version is missing: accepted is a semantic version/],
    ['a version that is not semantic', ['--version', 'v1.2'], /^--version is 'v1.2': accepted is a semantic version/],
    ['a version with a leading zero', ['--version', '1.02.3'], /^--version is '1.02.3'/],
    ['a version with build metadata', ['--version', '1.2.3+4'], /without build metadata/],
    ['a registry with a scheme', ['--version', '1.2.3', '--registry', 'https://r'], /^--registry is 'https:\/\/r': accepted is a registry/],
    [
      'a source that is no https URL',
      ['--version', '1.2.3', '--source', 'http://a'],
      /^--source is 'http:\/\/a': accepted is an https URL/,
    ],
    ['an unknown flag', ['--version', '1.2.3', '--push'], /^unknown argument --push: see --help/],
  ] as const)
    it(`are refused with ${what}`, () => {
      assert.throws(() => parseArguments(args), { name: 'SettingsError', message });
    });

  it('that are wrong end the command with 2 and one line', () => {
    const { status, stderr } = spawnSync(process.execPath, [path.join(import.meta.dirname, 'main.ts'), '--nope'], { encoding: 'utf8' });
    assert.deepEqual([status, stderr], [2, 'unknown argument --nope: see --help for the accepted flags\n']);
  });
});

describe('the tree of a release', () => {
  const commit = 'a'.repeat(40);
  const state = {
    commit,
    time: 0,
    versions: { 'package.json': '1.2.3' },
    changed: [],
    tagged: undefined,
    changelog: '# x\n\n## [1.2.3]\n',
  };

  it('has the version everywhere, no changes, and no tag or one on its commit', () => {
    assert.deepEqual(problemsOf('1.2.3', state), []);
    assert.deepEqual(problemsOf('1.2.3', { ...state, tagged: commit }), []);
  });

  for (const [what, different, problem] of [
    ['another version', { versions: { 'Chart.yaml': '1.2.4' } }, '--version is 1.2.3 and Chart.yaml has 1.2.4: change one of them'],
    ['changes', { changed: ['a.ts', 'b.ts'] }, 'the working tree has changes: commit or remove a.ts, b.ts'],
    ['a tag elsewhere', { tagged: 'b'.repeat(40) }, 'the tag v1.2.3 is on bbbbbbbbbbbb and this is aaaaaaaaaaaa: check out the tag'],
    ['no heading in the changelog', { changelog: '## [1.2.30]\n' }, 'CHANGELOG.md has no heading ## [1.2.3]'],
  ] as const)
    it(`is refused with ${what}`, () => {
      assert.deepEqual(problemsOf('1.2.3', { ...state, ...different, changed: 'changed' in different ? [...different.changed] : [] }), [
        problem,
      ]);
    });
});

describe('the changelog', () => {
  const changelog =
    '# Changelog\n\n## [Unreleased]\n\n## [1.0.0]\n\nFirst.\n\n### Added\n\n- `a`: one\n  [thing](docs/a.md).\n- b.\n\n### Fixed\n\n- c.\n\n## [0.9.0]\n\n- d\n';

  it('gives the part of one version as release notes', () => {
    assert.equal(releaseNotes(changelog, '0.9.0'), '- d\n');
    assert.match(releaseNotes(changelog, '1.0.0'), /^First\.\n[\s\S]*- c\.\n$/);
    assert.throws(() => releaseNotes(changelog, '1.0'), /has no heading ## \[1\.0\]/);
  });

  it('gives each entry as a change of its kind, on one line without links', () => {
    assert.deepEqual(changesOf(releaseNotes(changelog, '1.0.0')), [
      { kind: 'added', description: 'a: one thing.' },
      { kind: 'added', description: 'b.' },
      { kind: 'fixed', description: 'c.' },
    ]);
  });
});

describe('an archive of a release', () => {
  const bytesOf = async (extension: string, order: readonly string[], mtime: number) => {
    const folder = temporaryFolder();
    mkdirSync(path.join(folder, 'in'));
    for (const name of order) {
      writeFileSync(path.join(folder, 'in', name), `content of ${name}`, { mode: mtime % 2 === 0 ? 0o600 : 0o644 });
      utimesSync(path.join(folder, 'in', name), mtime, mtime);
    }
    await writeArchive(path.join(folder, `out${extension}`), { folder, names: ['in'], time: 1000 });
    return readFileSync(path.join(folder, `out${extension}`));
  };

  for (const extension of ['.tar', '.tgz'])
    it(`has the same bytes whenever its files were made: ${extension}`, async () => {
      assert.deepEqual(await bytesOf(extension, ['a', 'b'], 1), await bytesOf(extension, ['b', 'a'], 2));
    });
});

describe('the OCI layout of an image', () => {
  it('has one index that names the image of each platform', () => {
    const layout = temporaryFolder();
    const manifests = ['amd64', 'arm64'].map((architecture) => {
      const layers = [{ mediaType: 'layer', digest: `sha256:${architecture}`, size: 7 }];
      const content = JSON.stringify({ architecture, layers });
      const descriptor = descriptorOf(manifestType, content);
      mkdirSync(path.join(layout, 'blobs/sha256'), { recursive: true });
      writeFileSync(path.join(layout, 'blobs', ...descriptor.digest.split(':')), content);
      return { ...descriptor, annotations: { 'org.opencontainers.image.ref.name': architecture } };
    });
    writeFileSync(path.join(layout, 'index.json'), JSON.stringify({ manifests }));
    const found = new Map(['amd64', 'arm64'].map((name) => [name, manifestAt(layout, name)]));
    assert.throws(() => manifestAt(layout, 'riscv64'), /the image layout has no riscv64/);
    assert.deepEqual(
      [...found.values()].map((manifest) => layersOf(layout, manifest)),
      ['amd64', 'arm64'].map((name) => ({ files: [path.join(layout, 'blobs/sha256', name)], bytes: 7 })),
    );

    const digest = writeIndex(layout, imageIndex(found, { note: 'x' }), '1.2.3');
    const text = readFileSync(path.join(layout, 'blobs', ...digest.split(':')), 'utf8');
    assert.equal(digest, `sha256:${createHash('sha256').update(text).digest('hex')}`);
    const index: unknown = JSON.parse(text);
    assert.deepEqual(at(index, 'annotations'), { note: 'x' });
    assert.deepEqual(
      (at(index, 'manifests') as { digest: string; platform: object }[]).map((one) => [one.digest, one.platform]),
      ['amd64', 'arm64'].map((architecture) => [found.get(architecture)?.digest, { architecture, os: 'linux' }]),
    );
    assert.equal(manifestAt(layout, '1.2.3').digest, digest);
  });
});

describe('the published chart', () => {
  const release = {
    source: 'https://example.com/repo',
    images: { sidecar: 'r.example/sidecar:1.2.3' },
    changes: [{ kind: 'added', description: 'a: b' }],
    platforms: ['linux/amd64'],
  };
  const chartYaml = 'name: x\nversion: 1.2.3\nannotations:\n  artifacthub.io/license: MIT\n';

  it('says where it comes from, which images it runs and what has changed', () => {
    const published: unknown = parse(publishedChartYaml(chartYaml, release));
    assert.deepEqual(
      [at(published, 'version'), at(published, 'home'), at(published, 'sources')],
      ['1.2.3', release.source, [release.source]],
    );
    const annotation = (name: string): unknown => parse(stringAt(published, 'annotations', `artifacthub.io/${name}`) ?? '');
    assert.deepEqual(annotation('images'), [{ name: 'sidecar', image: 'r.example/sidecar:1.2.3', platforms: ['linux/amd64'] }]);
    assert.deepEqual(annotation('changes'), release.changes);
    assert.equal(annotation('license'), 'MIT');
  });

  it('names neither source nor images that nobody gave', () => {
    const published: unknown = parse(publishedChartYaml(chartYaml, { ...release, source: undefined, images: {} }));
    assert.deepEqual([at(published, 'home'), at(published, 'sources')], [undefined, undefined]);
    assert.equal(stringAt(published, 'annotations', 'artifacthub.io/images'), undefined);
  });
});

describe('the SBOM of an image', () => {
  const npmSbom = {
    components: [
      { 'bom-ref': 'a@1', name: 'a' },
      { 'bom-ref': 'a@2', name: 'a' },
      { 'bom-ref': 'b@1', name: 'b' },
    ],
  };
  const debianPackages =
    'Package: libc6\nArchitecture: arm64\nVersion: 2.36-9+deb12u9\nDescription: C\n Package: no\nPackage: iptables\nVersion: 1:1.8\nArchitecture: arm64\n';
  const options = {
    ...{ name: 'sidecar', version: '1.2.3', architecture: 'arm64', digest: 'sha256:ab', time: 0 },
    ...{ npmSbom, npmPackages: new Set(['a']), debianPackages },
  };

  it('has the packages of npm that it holds and the packages of Debian', () => {
    const bom: unknown = JSON.parse(imageSbom(options));
    assert.deepEqual(
      (at(bom, 'components') as { 'bom-ref': string }[]).map((one) => one['bom-ref']),
      ['a@1', 'a@2', 'pkg:deb/debian/libc6@2.36-9%2Bdeb12u9?arch=arm64', 'pkg:deb/debian/iptables@1%3A1.8?arch=arm64'],
    );
    assert.equal(stringAt(bom, 'metadata', 'component', 'purl'), 'pkg:oci/sidecar@sha256%3Aab?arch=arm64');
    assert.equal(stringAt(bom, 'metadata', 'timestamp'), '1970-01-01T00:00:00.000Z');
  });

  it('is not made when npm does not name a package that the image holds', () => {
    assert.throws(() => imageSbom({ ...options, npmPackages: new Set(['a', 'c']) }), /npm sbom does not name c, which/);
  });
});

describe('a runtime that is fetched', () => {
  it('is refused when it is not the one of package-lock.json', () => {
    const content = Buffer.from('x');
    const integrity = `sha512-${createHash('sha512').update(content).digest('base64')}`;
    checkIntegrity('node', content, integrity);
    assert.throws(
      () => checkIntegrity('node', Buffer.from('y'), integrity),
      /^Error: node has the integrity .* and package-lock\.json wants/,
    );
  });
});

describe('the commands that publish a release', () => {
  it('push the images and the chart, sign the images by digest and verify them', () => {
    const images = ['control-plane', 'sidecar'].map((name) => ({ name, file: `${name}.tar`, digest: `sha256:${name}` }));
    assert.deepEqual(publishCommands({ registry: 'r.example/i', version: '1.2.3', images, chart: 'c.tgz' }), [
      'skopeo copy --all --preserve-digests oci-archive:control-plane.tar docker://r.example/i/control-plane:1.2.3',
      'skopeo copy --all --preserve-digests oci-archive:sidecar.tar docker://r.example/i/sidecar:1.2.3',
      'helm push c.tgz oci://r.example/i',
      'cosign sign --key cosign.key r.example/i/control-plane@sha256:control-plane r.example/i/sidecar@sha256:sidecar',
      'cosign verify --key cosign.pub r.example/i/control-plane@sha256:control-plane r.example/i/sidecar@sha256:sidecar',
    ]);
  });
});
