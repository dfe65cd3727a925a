import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LabelExpression, LabelSelector } from './label-selector.ts';
import { matchesLabels } from './label-selector.ts';

const expression = (operator: LabelExpression['operator'], ...values: string[]): LabelSelector => ({
  matchExpressions: [{ key: 'team', operator, values }],
});
const cases: [what: string, selector: LabelSelector, labels: Record<string, string>, matches: boolean][] = [
  ['equal labels', { matchLabels: { team: 'a', tier: 'x' } }, { team: 'a', tier: 'x', more: '' }, true],
  ['one label of two', { matchLabels: { team: 'a', tier: 'x' } }, { team: 'a' }, false],
  ['a value in other case', { matchLabels: { team: 'a' } }, { team: 'A' }, false],
  ['a name that every object inherits', { matchLabels: { toString: 'a' } }, {}, false],
  ['In with the value', expression('In', 'a', 'b'), { team: 'b' }, true],
  ['In without the label', expression('In', 'a'), {}, false],
  ['NotIn with the value', expression('NotIn', 'a'), { team: 'a' }, false],
  ['NotIn with another value', expression('NotIn', 'a'), { team: 'b' }, true],
  ['NotIn without the label', expression('NotIn', 'a'), {}, true],
  ['Exists with an empty value', expression('Exists'), { team: '' }, true],
  ['Exists without the label', expression('Exists'), {}, false],
  ['DoesNotExist with the label', expression('DoesNotExist'), { team: '' }, false],
  ['DoesNotExist without the label', expression('DoesNotExist'), {}, true],
  ['both parts, one of which fails', { matchLabels: { team: 'a' }, ...expression('NotIn', 'a') }, { team: 'a' }, false],
];
for (const [what, selector, labels, matches] of cases)
  test(`${matches ? 'matches' : 'does not match'} ${what}`, () => assert.equal(matchesLabels(selector, labels), matches));
