import assert from 'node:assert/strict';
import { test } from 'node:test';
import { unguardedName, unguardedText } from './coverage.ts';

const exception = { name: 'e', podLabels: { app: 'Agent' } };
const pod = ({ metadata = {}, ...rest }: { metadata?: object; spec?: object; status?: object }) => ({
  metadata: { name: 'p', ...metadata },
  ...rest,
});

test('counts pods that run or wait to run', () => {
  for (const phase of ['Pending', 'Running', 'Unknown', undefined]) assert.equal(unguardedName(pod({ status: { phase } }), []), 'p');
});

const left: [title: string, raw: object][] = [
  ['a pod of the host network', pod({ spec: { hostNetwork: true } })],
  ['a Windows pod', pod({ spec: { os: { name: 'windows' } } })],
  ['a pod that succeeded', pod({ status: { phase: 'Succeeded' } })],
  ['a pod that failed', pod({ status: { phase: 'Failed' } })],
  ['a pod that is being deleted', pod({ metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' } })],
  ['a static pod', pod({ metadata: { annotations: { 'kubernetes.io/config.mirror': 'x' } } })],
  ['a pod of an allowed exception', pod({ metadata: { labels: { app: 'agent' } } })],
];
for (const [title, raw] of left) test(`leaves out ${title}`, () => assert.equal(unguardedName(raw, [exception]), undefined));

test('counts a pod with windowsOptions, which Linux nodes ignore', () => {
  assert.equal(unguardedName(pod({ spec: { securityContext: { windowsOptions: {} } } }), []), 'p');
});

test('counts a pod whose exception the namespace does not allow', () => {
  assert.equal(unguardedName(pod({ metadata: { labels: { app: 'agent' } } }), []), 'p');
});

test('names five pods and counts the others', () => {
  assert.match(unguardedText('n', ['a']), /^1 pod of this guarded namespace can reach IMDS: a\. /);
  assert.match(unguardedText('n', [...'abcdefg']), /^7 pods of this guarded namespace can reach IMDS: a, b, c, d, e and 2 more\. /);
  const longest = 'x'.repeat(253);
  assert.match(unguardedText('n', [longest]), /kubectl rollout restart deployment,daemonset,statefulset -n n/);
});
