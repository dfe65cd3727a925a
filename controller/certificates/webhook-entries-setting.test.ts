import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SettingsError } from '../../common/options.ts';
import { entryOf } from './testing/entries.ts';
import { parseWebhookEntries } from './webhook-entries-setting.ts';

const entry = entryOf('inject', 'home');

describe('parseWebhookEntries', () => {
  it('accepts entries with and without optional fields, and none', () => {
    const entries = [entry, { ...entry, namespaceSelector: {} }];
    assert.deepEqual(parseWebhookEntries(JSON.stringify(entries)), entries);
    assert.deepEqual(parseWebhookEntries('[]'), []);
  });

  const refused: [what: string, value: unknown, message: RegExp][] = [
    ['an object', {}, /^webhookEntries is \{\}: accepted is a list$/],
    [
      'an entry without rules',
      [{ ...entry, rules: undefined }],
      /^webhookEntries\[0\]\.rules is missing: accepted is an object with name, /,
    ],
    ['an entry with a url', [{ ...entry, clientConfig: { url: 'x' } }], /^webhookEntries\[0\]\.clientConfig\.service is missing: /],
    ['an unknown field', [{ ...entry, caBundle: '' }], /^webhookEntries\[0\]\.caBundle is not known: accepted is name, /],
    ['a text as number', [{ ...entry, timeoutSeconds: '5' }], /^webhookEntries\[0\]\.timeoutSeconds is "5": accepted is a whole number$/],
    ['a number as text', [{ ...entry, name: 5 }], /^webhookEntries\[0\]\.name is 5: accepted is a text$/],
    ['a list as selector', [{ ...entry, objectSelector: [] }], /^webhookEntries\[0\]\.objectSelector is \[\]: accepted is an object/],
    [
      'a text as expression',
      [{ ...entry, namespaceSelector: { matchExpressions: ['x'] } }],
      /^webhookEntries\[0\]\.namespaceSelector\.matchExpressions\[0\] is "x": accepted is an object with key, operator$/,
    ],
  ];
  for (const [what, value, message] of refused)
    it(`refuses ${what}, with its place`, () => {
      assert.throws(() => parseWebhookEntries(JSON.stringify(value)), { name: 'SettingsError', message });
    });

  it('refuses what is not JSON', () => {
    assert.throws(() => parseWebhookEntries('{'), SettingsError);
  });
});
