import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { scopeOf } from './scope.ts';

for (const [what, resource, scope] of [
  ['a URL', 'https://vault.azure.net', 'https://vault.azure.net/.default'],
  ['a slash at the end', 'https://management.azure.com/', 'https://management.azure.com//.default'],
  ['a GUID', '00000003-0000-0000-c000-000000000000', '00000003-0000-0000-c000-000000000000/.default'],
  ['an application id URI', 'api://app', 'api://app/.default'],
  ['no scheme', 'vault.azure.net', 'vault.azure.net/.default'],
  ['a scope', 'https://vault.azure.net/.default', 'https://vault.azure.net/.default'],
  ['a scope with two slashes', 'https://management.azure.com//.default', 'https://management.azure.com//.default'],
  ['upper case', 'HTTPS://VAULT.AZURE.NET', 'HTTPS://VAULT.AZURE.NET/.default'],
  ['a scope in upper case', 'https://vault.azure.net/.DEFAULT', 'https://vault.azure.net/.DEFAULT'],
  ['a path', 'https://x.example/a/b', 'https://x.example/a/b/.default'],
] as const) {
  test(`makes a scope of ${what}`, () => assert.equal(scopeOf(resource), scope));
}

for (const [what, resource] of [
  ['nothing', ''],
  ['a blank within', 'https://a https://b'],
  ['a blank at the end', 'https://a '],
  ['a line break', 'https://a\n'],
  ['a quote', 'https://a"'],
  ['a letter that is not ASCII', 'https://vault.azure.net/\u212a'],
  ['only the suffix', '/.default'],
  ['more than 2048 characters', `https://${'a'.repeat(2048)}`],
] as const) {
  test(`makes no scope of ${what}`, () => assert.equal(scopeOf(resource), undefined));
}

test('makes one scope at most, of any text', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 30 }), (resource) => {
      const scope = scopeOf(resource);
      assert.ok(scope === undefined || (!/\s/.test(scope) && scope.startsWith(resource) && /\/\.default$/i.test(scope)));
    }),
  );
});
