// Which namespaces are guarded, and what their authors got wrong. decide.test.ts has the decisions about their pods.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { guardLabel } from '../../../api/names.ts';
import { guardWarningsOf, isGuarded, parseGuardAllow, podSecurityObstacle } from './guard.ts';

const selection = { selector: { matchLabels: { [guardLabel]: 'enabled' } }, releaseNamespace: 'system' };
const namespace = (name: string, value?: string) => ({ name, labels: value === undefined ? {} : { [guardLabel]: value } });

test('guards the namespaces that the selector matches', () => {
  assert.equal(isGuarded(namespace('team', 'enabled'), selection), true);
  for (const value of [undefined, '', 'enable', 'true', 'Enabled', 'disabled'])
    assert.equal(isGuarded(namespace('team', value), selection), false, String(value));
});

test('guards nothing without a selector, never kube-system or the release namespace', () => {
  const everything = { matchExpressions: [{ key: 'kubernetes.io/metadata.name', operator: 'DoesNotExist' }] } as const;
  for (const [name, selector, guarded] of [
    ['team', undefined, false],
    ['team', everything, true],
    ['system', everything, false],
    ['kube-system', everything, false],
  ] as const)
    assert.equal(isGuarded(namespace(name, 'enabled'), { ...selection, selector }), guarded, name);
});

test('reads a list of exceptions with spaces and gaps, and allows nothing by odd text', () => {
  assert.deepEqual(parseGuardAllow(' a, b.c ,,'), { allowed: ['a', 'b.c'], invalid: [] });
  assert.deepEqual(parseGuardAllow(''), { allowed: [], invalid: [] });
  for (const odd of ['*', 'A', '[a]', 'a b', '"a"', '-a', 'a;b', 'team/a', 'x'.repeat(300)])
    assert.deepEqual(parseGuardAllow(odd), { allowed: [], invalid: [odd] }, odd);
});

test('warns of an unknown value of the guard label and of odd names of exceptions', () => {
  const warningsOf = (value: string | undefined, guardAllow = '', isActive = false) =>
    guardWarningsOf(namespace('team', value), selection, { isActive, guardAllow });
  for (const value of [undefined, 'enabled']) assert.deepEqual(warningsOf(value, 'a'), [], String(value));
  assert.match(warningsOf('enable').join(), /^label .*guard of namespace team is "enable" and does not guard it/);
  assert.deepEqual(warningsOf('yes', '', true), [], 'another selector guards it');
  const many = warningsOf('enabled', 'a,*,B,C,D,E');
  assert.equal(many.length, 3);
  assert.match(many[0] ?? '', /lists "\*", which is no name$/);
});

test('names the Pod Security levels that refuse the guard', () => {
  for (const podSecurity of ['baseline', 'restricted'])
    assert.match(
      podSecurityObstacle({ name: 'team', podSecurity }) ?? '',
      new RegExp(`^namespace team enforces pod security ${podSecurity}`),
    );
  for (const podSecurity of [undefined, 'privileged', '']) assert.equal(podSecurityObstacle({ name: 'team', podSecurity }), undefined);
});
