import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { stringify } from 'yaml';
import { readManifests } from './manifests.ts';

const read = (text: string) => {
  const { objects, skipped } = readManifests('m.yaml', text);
  return { names: objects.map((object) => (object as { metadata: { name: string } }).metadata.name), skipped };
};
const pod = (name: string) => ({ apiVersion: 'v1', kind: 'Pod', metadata: { name } });

describe('readManifests', () => {
  it('reads each document of YAML, and leaves out the empty ones', () =>
    assert.deepEqual(read(`---\n# Source: x\n---\n${stringify(pod('a'))}---\n\n---\n${stringify(pod('b'))}...\n`), {
      names: ['a', 'b'],
      skipped: [],
    }));

  it('reads JSON', () => assert.deepEqual(read(JSON.stringify(pod('a'))), { names: ['a'], skipped: [] }));

  it('reads the items of lists, also of lists in lists', () => {
    const list = (...items: object[]) => ({ apiVersion: 'v1', kind: 'List', items });
    assert.deepEqual(read(stringify(list(pod('a'), list(pod('b'))))).names, ['a', 'b']);
  });

  it('gives the items of a typed list its kind', () => {
    const { objects } = readManifests('m', '{"apiVersion":"apps/v1","kind":"DeploymentList","items":[{"metadata":{"name":"a"}}]}');
    assert.deepEqual(objects, [{ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'a' } }]);
  });

  it('follows anchors and merge keys', () => {
    const text = 'apiVersion: v1\nkind: Pod\nmetadata: &m { name: a, labels: &l { a: b } }\nspec:\n  <<: *l\n';
    assert.deepEqual(readManifests('m', text).objects, [
      { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'a', labels: { a: 'b' } }, spec: { a: 'b' } },
    ]);
  });

  const skips: [what: string, document: string, why: RegExp][] = [
    ['text that is no YAML', 'a: [', /^Flow sequence/],
    ['a text', 'just words', /^it is no object$/],
    ['an object without kind', 'apiVersion: v1', /^it has no kind$/],
    ['an object without apiVersion', 'kind: Pod', /^Pod without apiVersion$/],
    ['an object without name', 'kind: Pod\napiVersion: v1', /^Pod without metadata\.name$/],
    ['a name that is none', "kind: Pod\napiVersion: v1\nmetadata: { name: '$(reboot)' }", /that is no name$/],
    ['an alias of nothing', 'a: *b', /alias/i],
    ['lists without end', `${'{"kind":"List","apiVersion":"v1","items":['.repeat(9)}${']}'.repeat(9)}`, /too deep/],
  ];
  for (const [what, document, why] of skips)
    it(`skips ${what} by its place, and reads the others`, () => {
      const { names, skipped } = read(`${stringify(pod('a'))}---\n${document}\n---\n${stringify(pod('b'))}`);
      assert.deepEqual(names, ['a', 'b']);
      assert.equal(skipped.length, 1);
      assert.match(skipped[0]?.place ?? '', /^m\.yaml, document 2/);
      assert.match(skipped[0]?.why ?? '', why);
    });

  it('skips aliases that would grow without bounds', () => {
    const text = [
      'a: &a [x,x,x,x,x,x,x,x,x]',
      ...'bcdefghi'.split('').map((key, index) => `${key}: &${key} [${`*${'abcdefgh'[index]},`.repeat(9)}]`),
    ].join('\n');
    assert.match(read(`kind: Pod\napiVersion: v1\n${text}`).skipped[0]?.why ?? '', /alias/i);
  });

  it('takes any text, and names what it skips', () =>
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json(), fc.string({ unit: fc.constantFrom(...'-:{}[]&*<>|!#\n "ab0') })), (text) => {
        for (const { place, why } of readManifests('f', text).skipped) assert.ok(place.startsWith('f, document ') && why !== '');
      }),
      { numRuns: 500 },
    ));

  it('understands every object with kind, apiVersion and name', () => {
    const objects = fc.array(
      fc.record({
        apiVersion: fc.constantFrom('v1', 'apps/v1'),
        kind: fc.constantFrom('Pod', 'Deployment'),
        metadata: fc.record({ name: fc.stringMatching(/^[a-z][a-z0-9.-]{0,20}$/) }),
        spec: fc.jsonValue(),
      }),
    );
    fc.assert(
      fc.property(objects, (given) => {
        const { objects: found, skipped } = readManifests('f', given.map((object) => JSON.stringify(object)).join('\n---\n'));
        assert.deepEqual([found, skipped], [JSON.parse(JSON.stringify(given)), []]);
      }),
    );
  });
});
