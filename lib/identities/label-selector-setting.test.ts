import assert from 'node:assert/strict';
import { test } from 'node:test';
import { labelSelectorSetting } from './label-selector-setting.ts';

const { parse } = labelSelectorSetting('selector', 'a selector');

test('reads both forms of a selector', () => {
  assert.deepEqual(parse('{"matchLabels":{"a":"b"}}'), { matchLabels: { a: 'b' } });
  const matchExpressions = [{ key: 'a', operator: 'In', values: ['b'] }];
  assert.deepEqual(parse(JSON.stringify({ matchExpressions })), { matchExpressions });
});

const refused: [title: string, json: string, says: RegExp][] = [
  ['what is not JSON', 'a=b', /^SettingsError: selector is "a=b": accepted is a JSON object \{matchLabels, matchExpressions\}/],
  ['a selector of everything', '{}', /^SettingsError: selector is \{\}: accepted is \{matchLabels, matchExpressions\} with at least one/],
  ['an unknown part', '{"matchLabel":{}}', /^SettingsError: selector\."matchLabel" is not known/],
  ['labels that are no texts', '{"matchLabels":{"a":1}}', /^SettingsError: selector\.matchLabels is \{"a":1\}/],
];
for (const [title, json, says] of refused) test(`refuses ${title}`, () => assert.throws(() => parse(json), says));
