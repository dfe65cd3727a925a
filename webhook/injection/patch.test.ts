import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import jsonpatch from 'jsonpatch';
import { diff, escapeSegment } from './patch.ts';

test('escapes ~ before / in a pointer segment', () => {
  assert.equal(escapeSegment('a/b~c~1'), 'a~1b~0c~01');
});

test('makes a patch that turns any JSON document into any other', () => {
  // jsonpatch sets the prototype where it copies this key; the server refuses bodies that contain it.
  const value = fc.jsonValue({ maxDepth: 4 }).filter((one) => !JSON.stringify(one).includes('__proto__'));
  const objects = fc.dictionary(fc.constantFrom('a', 'b', 'a/b', '~'), value).map((one): unknown => JSON.parse(JSON.stringify(one)));
  fc.assert(
    fc.property(objects, objects, (before, after) => {
      assert.deepEqual(jsonpatch.apply_patch<unknown>(before, diff(before, after)), after);
    }),
    { numRuns: 1_000 },
  );
});

test('adds items in front of or behind a list without rewriting it', () => {
  const [a, b] = [{ name: 'a' }, { name: 'b' }];
  assert.deepEqual(diff([a], [b, a]), [{ op: 'add', path: '/0', value: b }]);
  assert.deepEqual(diff([a], [a, b]), [{ op: 'add', path: '/-', value: b }]);
});

test('rewrites a list whose items have other names', () => {
  assert.deepEqual(diff([{ name: 'a' }], [{ name: 'b' }]), [{ op: 'replace', path: '', value: [{ name: 'b' }] }]);
});

test('rewrites a list of which more than 500 operations would change items', () => {
  const many = (length: number, more: object) => Array.from({ length }, (_, index) => ({ name: String(index), ...more }));
  assert.equal(diff(many(500, {}), many(500, { env: [] })).length, 500);
  const after = many(501, { env: [] });
  assert.deepEqual(diff(many(501, {}), after), [{ op: 'replace', path: '', value: after }]);
});
