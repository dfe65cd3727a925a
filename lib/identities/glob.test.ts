import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { asciiLowerCase, matchesExactly, matchesGlob } from './glob.ts';

const cases: [pattern: string, text: string, matches: boolean][] = [
  ['', '', true],
  ['*', '', true],
  ['*', 'anything', true],
  ['*', 'a/b', false],
  ['*/*', 'a/b', true],
  ['/a/*', '/a/', true],
  ['/a/*', '/a', false],
  ['team-*', 'team-a', true],
  ['team-*', 'other-a', false],
  ['*-prod', 'team-prod', true],
  ['*-prod', 'team-prod-2', false],
  ['a*b*c', 'a-b-b-c', true],
  ['a*b*c', 'a-c-b', false],
  ['a**b', 'ab', true],
  ['a.c', 'abc', false],
  ['Team', 'tEAM', true],
  ['k', '\u212a', false],
  ['s', '\u017f', false],
];
for (const [pattern, text, matches] of cases)
  test(`${matches ? 'matches' : 'does not match'} '${text}' with '${pattern}'`, () => assert.equal(matchesGlob(pattern, text), matches));

test('matches as the regular expression of each segment does', () => {
  const part = fc.string({ unit: fc.constantFrom('a', 'b', 'A', '*', '/', '.', '+'), maxLength: 8 });
  const text = fc.string({ unit: fc.constantFrom('a', 'b', 'A', '/', '.', '+'), maxLength: 8 });
  fc.assert(
    fc.property(part, text, (pattern, given) => {
      const escaped = pattern.replaceAll(/[.+]/g, '\\$&').replaceAll('*', '[^/]*');
      assert.equal(matchesGlob(pattern, given), new RegExp(`^${escaped}$`, 'i').test(given));
    }),
    { numRuns: 2_000 },
  );
});

test('takes a time that grows with the product of the lengths, whatever the text', () => {
  // A matcher that tries all ways would not end: 200 choose 100 of them.
  assert.equal(matchesGlob(`${'*a'.repeat(100)}b`, 'a'.repeat(10_000)), false);
});

test('lowers ASCII letters only', () => assert.equal(asciiLowerCase('AZaz\u212a\u0130'), 'azaz\u212a\u0130'));

test('tells capitals from small letters where case counts', () => {
  assert.equal(matchesExactly('r.io/a:*-B', 'r.io/a:1-B'), true);
  assert.equal(matchesExactly('r.io/a:*-B', 'r.io/a:1-b'), false);
});
