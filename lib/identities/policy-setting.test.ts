import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { SettingsError } from '../../common/options.ts';
import { parseIdentityPolicy } from './policy-setting.ts';

const id = '/subscriptions/s/resourceGroups/*/providers/Microsoft.ManagedIdentity/userAssignedIdentities/app-*';

describe('parseIdentityPolicy', () => {
  it('accepts every list and both forms of namespaces, and an empty policy', () => {
    const policy = [
      {
        namespaces: ['team-a', 'team-*'],
        resourceIDs: [id],
        clientIDs: ['cccccccc-0000-4000-8000-000000000001'],
        tenantIDs: ['*.example'],
      },
      {
        namespaces: {
          matchLabels: { trusted: 'yes' },
          matchExpressions: [
            { key: 'tier', operator: 'In', values: ['a'] },
            { key: 'hostile', operator: 'DoesNotExist' },
          ],
        },
      },
      { resourceIDs: [] },
    ];
    assert.deepEqual(parseIdentityPolicy(JSON.stringify(policy)), policy);
    assert.deepEqual(parseIdentityPolicy('[]'), []);
  });

  const refused: [what: string, value: unknown, message: RegExp][] = [
    ['an object', {}, /^identityPolicy is \{\}: accepted is a JSON list of \{namespaces, /],
    ['null', null, /^identityPolicy is null: /],
    ['an entry without a list', [{}], /^identityPolicy\[0\] is \{\}: accepted is .* with at least one of them$/],
    ['an unknown key', [{ resourceIds: [] }], /^identityPolicy\[0\]\."resourceIds" is not known: accepted is \{namespaces, resourceIDs,/],
    ['a text as list', [{ namespaces: 'a' }], /^identityPolicy\[0\]\.namespaces is "a": accepted is a list of texts/],
    ['null as list', [{ namespaces: null }], /^identityPolicy\[0\]\.namespaces is null: /],
    ['a number in a list', [{ clientIDs: ['*', 7] }], /^identityPolicy\[0\]\.clientIDs\[1\] is 7: accepted is a GUID/],
    [
      'half a resource id',
      [{ resourceIDs: ['/subscriptions/s'] }],
      /resourceIDs\[0\] is "\/subscriptions\/s": accepted is \/subscriptions\/<id>/,
    ],
    ['a star across segments', [{ resourceIDs: ['/subscriptions/*/userAssignedIdentities/*'] }], /one path segment$/],
    ['letters outside ASCII', [{ resourceIDs: [id.replace('app', '\u212a')] }], /resourceIDs\[0\]/],
    ['a namespace that is no name', [{}, { namespaces: ['a/b'] }].slice(1), /namespaces\[0\] is "a\/b"/],
    ['an empty selector', [{ namespaces: {} }], /^identityPolicy\[0\]\.namespaces is \{\}: accepted is \{matchLabels, matchExpressions\}/],
    ['an unknown part of a selector', [{ namespaces: { labels: {} } }], /namespaces\."labels" is not known/],
    ['labels that are no texts', [{ namespaces: { matchLabels: { a: 1 } } }], /matchLabels is \{"a":1\}: accepted is a map/],
    ['no labels', [{ namespaces: { matchLabels: {} } }], /matchLabels is \{\}/],
    ['no expressions', [{ namespaces: { matchExpressions: [] } }], /matchExpressions is \[\]/],
    [
      'an unknown operator',
      [{ namespaces: { matchExpressions: [{ key: 'a', operator: 'Gt' }] } }],
      /operator is "Gt": accepted is In, NotIn/,
    ],
    [
      'In without values',
      [{ namespaces: { matchExpressions: [{ key: 'a', operator: 'In' }] } }],
      /values is missing: accepted is .* operator In$/,
    ],
    ['Exists with values', [{ namespaces: { matchExpressions: [{ key: 'a', operator: 'Exists', values: ['b'] }] } }], /values is \["b"\]/],
    [
      'an expression without key',
      [{ namespaces: { matchExpressions: [{ operator: 'Exists' }] } }],
      /matchExpressions\[0\]\.key is missing/,
    ],
  ];
  for (const [what, value, message] of refused)
    it(`refuses ${what} with its path`, () =>
      assert.throws(() => parseIdentityPolicy(JSON.stringify(value)), { name: 'SettingsError', message }));

  it('refuses what is not JSON', () => {
    for (const text of ['', 'team-a', '[', '[{]'])
      assert.throws(() => parseIdentityPolicy(text), /^SettingsError: identityPolicy is ".*: accepted/);
  });

  it('returns a policy that it takes again, or one line of error, for any JSON', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.json(),
          fc.array(fc.dictionary(fc.constantFrom('namespaces', 'clientIDs'), fc.jsonValue())).map((entries) => JSON.stringify(entries)),
        ),
        (text) => {
          try {
            const policy = parseIdentityPolicy(text);
            assert.deepEqual(parseIdentityPolicy(JSON.stringify(policy)), policy);
          } catch (error) {
            assert.ok(error instanceof SettingsError);
            assert.match(error.message, /^[^\n]+$/);
          }
        },
      ),
    );
  });
});
