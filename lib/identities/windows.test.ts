import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isWindows, isWindowsOnly } from './windows.ts';

const expression = (operator: string, values: string[] | undefined, key = 'kubernetes.io/os') => ({ key, operator, values });
const terms = (...nodeSelectorTerms: object[]) => ({
  affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms } } },
});
const term = (...matchExpressions: object[]) => ({ matchExpressions });
const windowsTerm = term(expression('In', ['windows']));
const other = expression('In', ['a'], 'zone');
const preferred = {
  affinity: { nodeAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 1, preference: windowsTerm }] } },
};
const options = { securityContext: { windowsOptions: { runAsUserName: 'ContainerUser' } } };

const cases: [what: string, spec: unknown, expected: boolean][] = [
  ['nothing', {}, false],
  ['spec.os', { os: { name: 'windows' } }, true],
  ['spec.os of Linux', { os: { name: 'linux' } }, false],
  ['a nodeSelector', { nodeSelector: { 'kubernetes.io/os': 'windows' } }, true],
  ['a nodeSelector of the older label', { nodeSelector: { 'beta.kubernetes.io/os': 'windows' } }, true],
  ['an affinity', terms(windowsTerm), true],
  ['an affinity of the older label', terms(term(expression('In', ['windows'], 'beta.kubernetes.io/os'))), true],
  ['an affinity with further expressions', terms(term(other, expression('In', ['windows']))), true],
  ['an affinity of several terms for Windows', terms(windowsTerm, term(other, expression('In', ['windows']))), true],
  ['an affinity against Linux', terms(term(expression('NotIn', ['linux']))), true],
  ['an affinity against Linux by the older label', terms(term(expression('NotIn', ['linux'], 'beta.kubernetes.io/os'))), false],
  ['an affinity with a term without a system', terms(windowsTerm, term(other)), false],
  ['an affinity for both systems', terms(term(expression('In', ['windows', 'linux']))), false],
  ['an affinity against Windows', terms(term(expression('NotIn', ['windows']))), false],
  ['an affinity for nodes with the label', terms(term(expression('Exists', undefined))), false],
  ['an affinity without terms', terms(), false],
  ['a preferred affinity', preferred, false],
  ['windowsOptions of the pod', options, true],
  ['windowsOptions of a container', { containers: [{ name: 'a' }, { name: 'b', ...options }] }, true],
  ['windowsOptions of an init container', { initContainers: [options] }, true],
  ['windowsOptions beside a nodeSelector of Linux', { nodeSelector: { 'kubernetes.io/os': 'linux' }, ...options }, false],
  ['values of other shapes', { affinity: 1, nodeSelector: [], containers: { a: 1 }, securityContext: { windowsOptions: null } }, false],
];
for (const [what, spec, expected] of cases)
  test(`${expected ? 'finds' : 'does not find'} a Windows pod by ${what}`, () => assert.equal(isWindows({ spec }), expected));

test('does not take windowsOptions for a proof that no Linux node runs the pod', () => {
  for (const [what, spec, expected] of cases) assert.equal(isWindowsOnly({ spec }), expected && !what.startsWith('windowsOptions'), what);
});
