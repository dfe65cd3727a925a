import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { GuardState } from './namespace.ts';
import { guardNamespaceOf, guardStateOf } from './namespace.ts';

const byLabel = { matchLabels: { 'aadpodidentity.k8s.io/guard': 'enabled' } };

function stateOf(labels: Record<string, string>, name = 'team', selector: Parameters<typeof guardStateOf>[1] = byLabel): GuardState {
  const namespace = guardNamespaceOf({ metadata: { name, labels } });
  assert.ok(namespace);
  return guardStateOf(namespace, selector, 'release');
}
const label = (value: string) => ({ 'aadpodidentity.k8s.io/guard': value });
const enforces = (level: string) => ({ ...label('enabled'), 'pod-security.kubernetes.io/enforce': level });

test('guards a namespace whose label says so, and no other', () => {
  assert.deepEqual(stateOf(label('enabled')), { guarded: true });
  assert.deepEqual(stateOf({}), { guarded: false });
  assert.deepEqual(stateOf(enforces('privileged')), { guarded: true });
});

test('guards what another selector selects', () => {
  const selector = { matchExpressions: [{ key: 'tier', operator: 'In', values: ['tenant'] }] } as const;
  assert.deepEqual(stateOf({ tier: 'tenant' }, 'team', selector), { guarded: true });
  const unused = stateOf(label('enabled'), 'team', selector);
  assert.equal(unused.guarded, false);
  assert.match(unused.problem ?? '', /the chart value guard\.namespaceSelector selects by something else/);
});

test('names an unknown value of the guard label', () => {
  for (const value of ['', 'true', 'Enabled', 'disabled']) {
    const { guarded, problem } = stateOf(label(value));
    assert.equal(guarded, false);
    assert.ok(
      problem?.startsWith(`label aadpodidentity.k8s.io/guard is '${value}', which guards nothing: accepted is enabled`),
      String(problem),
    );
  }
});

test('never guards the release namespace or kube-system', () => {
  for (const name of ['release', 'kube-system']) {
    const { guarded, problem } = stateOf(label('enabled'), name);
    assert.equal(guarded, false);
    assert.match(problem ?? '', new RegExp(`namespace ${name} is never guarded`));
  }
});

test('names the two other levels where pod security refuses the guard', () => {
  for (const level of ['baseline', 'restricted']) {
    const { guarded, problem } = stateOf(enforces(level));
    assert.equal(guarded, true);
    assert.match(problem ?? '', new RegExp(`pod security ${level}.*guard\\.networkPolicy.*federated`));
    assert.ok((problem ?? '').length < 1024);
  }
});

test('reads the allowed exceptions of a namespace', () => {
  const allowedIn = (text: string) => [
    ...(guardNamespaceOf({ metadata: { name: 'n', annotations: { 'aadpodidentity.k8s.io/guard-allow': text } } })?.allowed ?? []),
  ];
  assert.deepEqual(allowedIn('a, b ,,c'), ['a', 'b', 'c']);
  assert.deepEqual(allowedIn(''), []);
  assert.deepEqual([...(guardNamespaceOf({ metadata: { name: 'n' } })?.allowed ?? ['none'])], []);
  assert.equal(guardNamespaceOf({}), undefined);
});
