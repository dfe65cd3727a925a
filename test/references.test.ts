// Every reference in a comment or a page leads somewhere, and nothing refers to a document that is not here.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { anchorsOf, brokenReferences, privateReferences } from './references.ts';

const root = path.resolve(import.meta.dirname, '..');

/** Every file of the repository but what is fetched, built or binary. */
function readTree(folder = ''): Map<string, string> {
  const files = new Map<string, string>();
  for (const entry of readdirSync(path.join(root, folder), { withFileTypes: true })) {
    const name = path.posix.join(folder, entry.name);
    if (entry.isDirectory()) {
      if (!['node_modules', 'dist', 'coverage', '.git'].includes(entry.name))
        for (const [file, text] of readTree(name)) files.set(file, text);
    } else if (entry.isFile()) files.set(name, readFileSync(path.join(root, name), 'utf8'));
  }
  return files;
}

const repository = readTree();

describe('the repository', () => {
  it('has no reference that leads nowhere', () => {
    assert.deepEqual(brokenReferences(repository), []);
  });

  it('refers to no document that only its authors have', () => {
    assert.deepEqual(privateReferences(repository), []);
  });

  it('lists every page of docs in docs/README.md', () => {
    const index = repository.get('docs/README.md') ?? '';
    const pages = [...repository.keys()].filter((file) => /^docs\/.+\.md$/.test(file) && file !== 'docs/README.md');
    assert.deepEqual(
      pages.filter((page) => !index.includes(`](${page.slice('docs/'.length)})`)),
      [],
    );
  });

  it('numbers its decisions in order and gives each the same three parts', () => {
    const decisions = [...repository].filter(([file]) => file.startsWith('docs/adr/')).sort(([a], [b]) => (a < b ? -1 : 1));
    for (const [index, [file, text]] of decisions.entries()) {
      assert.equal(path.basename(file).slice(0, 4), String(index + 1).padStart(4, '0'), file);
      for (const heading of ['context', 'decision', 'consequences']) assert.ok(anchorsOf(text).has(heading), `${file}: ${heading}`);
    }
  });
});

describe('brokenReferences', () => {
  const pages = {
    'package.json': '{"scripts":{"demo":"","test:unit":""}}',
    'docs/adr/0007-records.md': '# 7. Records\n',
    'docs/reference/arm.md': '# Resource Manager\n\n## Identity errors\n',
    'lib/kube/lease.ts': '',
    'lib/kube/client.ts': '',
  };
  /** What is wrong with a file of this name and text among the pages above. */
  const problemsOf = (file: string, text: string) => brokenReferences(new Map(Object.entries({ ...pages, [file]: text })));

  it('accepts paths from the root, from the own folder and with an anchor', () => {
    const text = [
      '// See docs/reference/arm.md#identity-errors, lease.ts, ./client.ts, ../../lib/kube/lease.ts,',
      '// folder docs/reference/, ADR 7, `npm run test:unit -- x.y` and https://example.com/docs/missing.md.',
      '/* docs/adr/0007-records.md */',
    ].join('\n');
    assert.deepEqual(problemsOf('lib/kube/informer.ts', text), []);
  });

  const broken: [what: string, file: string, text: string, problem: string][] = [
    ['a page that does not exist', 'lib/a.ts', '// docs/reference/gone.md', 'lib/a.ts:1 docs/reference/gone.md: no such file'],
    ['a file that does not exist', 'lib/a.ts', '\n/** Like gone.ts. */', 'lib/a.ts:2 gone.ts: no such file'],
    [
      'a heading that does not exist',
      'lib/a.ts',
      '// docs/reference/arm.md#x',
      'lib/a.ts:1 docs/reference/arm.md#x: no such heading in docs/reference/arm.md',
    ],
    ['a folder that does not exist', 'lib/a.ts', '// lib/gone/ holds it', 'lib/a.ts:1 lib/gone/: no such folder'],
    ['a decision that does not exist', 'lib/a.ts', '// as in ADR 0099', 'lib/a.ts:1 ADR 0099: no such decision in docs/adr'],
    ['a script that does not exist', 'README.md', 'then `npm run gone`', 'README.md:1 npm run gone: no such script in package.json'],
    ['a link of a page', 'docs/a.md', '[it](b.md)', 'docs/a.md:1 ](b.md): no such file'],
    ['an anchor of its own page', 'docs/a.md', '# A\n[it](#b)', 'docs/a.md:2 ](#b): no such heading in docs/a.md'],
    ['a comment in YAML', 'charts/a.yaml', 'a: 1 # docs/gone.md', 'charts/a.yaml:1 docs/gone.md: no such file'],
  ];
  for (const [what, file, text, problem] of broken)
    it(`reports ${what}`, () => {
      assert.ok(problemsOf(file, text).includes(problem), JSON.stringify(problemsOf(file, text)));
    });

  it('reads only the comments of code', () => {
    assert.deepEqual(problemsOf('lib/a.ts', "const glob = 'gone/*.ts'; read('docs/gone.md');\nimport './gone.ts';"), []);
  });

  it('takes a link by its target, and in a page a file name of any folder', () => {
    assert.deepEqual(problemsOf('docs/a.md', '[arm.md](reference/arm.md) is like lease.ts'), []);
    assert.deepEqual(problemsOf('lib/a.ts', '// lease.ts'), ['lib/a.ts:1 lease.ts: no such file']);
  });

  it('leaves files of other programs and other sites alone', () => {
    assert.deepEqual(problemsOf('docs/a.md', 'The node has /etc/kubernetes/azure.json; [docs](https://example.com/a.md#b).'), []);
  });
});

describe('privateReferences', () => {
  it('reports sections of the design and pages of the specification', () => {
    // Made up of parts, so that this file itself stays clean.
    const text = [
      ['// (design', '5)'],
      ['// see spec', 'arm.md'],
      ['// (spec', '3.1)'],
    ].map(([a, b], index) => `${a}${index === 1 ? '/' : ' '}${b}`);
    assert.equal(privateReferences(new Map([['lib/a.ts', text.join('\n')]])).length, 3);
    assert.deepEqual(privateReferences(new Map([['lib/b.ts', '// by design, as the spec says']])), []);
  });
});

describe('anchorsOf', () => {
  it('spells headings as GitHub does', () => {
    const page = '# One: `two` & three\n```\n# no heading\n```\n## [Link](x.md) _here_\n## Same\n## Same\n';
    assert.deepEqual([...anchorsOf(page)], ['one-two--three', 'link-_here_', 'same', 'same-1']);
  });
});
