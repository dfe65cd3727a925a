import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SettingsError } from '../../common/options.ts';
import { labelSelectorSetting } from './label-selector-setting.ts';

const setting = labelSelectorSetting('selector', 'about');

test('reads a label selector and is absent by default', () => {
  const selector = { matchLabels: { a: 'b' }, matchExpressions: [{ key: 'c', operator: 'Exists' }] };
  assert.deepEqual(setting.parse(JSON.stringify(selector)), selector);
  assert.equal(setting.fallback, undefined);
});

test('refuses a selector that is no JSON or selects everything', () => {
  for (const [text, message] of [
    ['a=b', /^selector is "a=b": accepted is a JSON object \{matchLabels/],
    ['{}', /^selector is \{\}: accepted is \{matchLabels, matchExpressions\} with at least one/],
    ['{"matchLabels":{}}', /^selector\.matchLabels is \{\}: /],
    ['{"matchExpressions":[{"key":"a","operator":"in"}]}', /^selector\.matchExpressions\[0\]\.operator is "in": /],
  ] as const)
    assert.throws(
      () => setting.parse(text),
      (error: unknown) => error instanceof SettingsError && message.test(error.message),
      text,
    );
});
