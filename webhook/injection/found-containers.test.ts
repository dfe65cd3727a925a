import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withFound } from './found-containers.ts';

const allowed = { images: ['mirror.test/*/sidecar:1', 'mirror.test/sidecar@sha256:*'], variables: ['HTTP_PROXY', 'no_proxy'] };
const ours = { name: 'ours', image: 'sidecar:1', imagePullPolicy: 'IfNotPresent', env: [{ name: 'A', value: '1' }], args: ['proxy'] };

test('keeps our container where none was found', () => {
  assert.equal(withFound(ours, undefined, allowed), ours);
});

test('keeps a pull policy of Kubernetes, and no other one', () => {
  const policyOf = (imagePullPolicy: unknown) => withFound(ours, { imagePullPolicy }, allowed).imagePullPolicy;
  assert.deepEqual(['Always', 'Never', 'IfNotPresent'].map(policyOf), ['Always', 'Never', 'IfNotPresent']);
  for (const policy of ['always', '', null, undefined, ['Always']]) assert.equal(policyOf(policy), 'IfNotPresent');
});

test('keeps an image that a pattern matches as a whole, in case and path', () => {
  const digest = `mirror.test/sidecar@sha256:${'0'.repeat(64)}`;
  for (const image of ['mirror.test/hub/sidecar:1', digest]) assert.equal(withFound(ours, { image }, allowed).image, image);
  for (const image of [
    'evil.test/hub/sidecar:1',
    'mirror.test/a/b/sidecar:1',
    'mirror.test/hub/sidecar:10',
    'mirror.test/hub/Sidecar:1',
    'x.mirror.test/hub/sidecar:1',
    'mirror.test/sidecar@sha256:0/x',
    null,
    ['mirror.test/hub/sidecar:1'],
  ])
    assert.equal(withFound(ours, { image }, allowed).image, 'sidecar:1', String(image));
  assert.equal(withFound(ours, { image: 'mirror.test/hub/sidecar:1' }, { ...allowed, images: [] }).image, 'sidecar:1');
});

test('keeps allowed variables behind our own, in their order, and no other', () => {
  const proxy = { name: 'HTTP_PROXY', value: 'http://proxy.test' };
  const fromMap = { name: 'no_proxy', valueFrom: { configMapKeyRef: { name: 'proxy', key: 'no' } } };
  const found = { env: [fromMap, { name: 'LD_PRELOAD', value: '/x' }, null, proxy, { name: 'A', value: '2' }, { name: 'http_proxy' }] };
  assert.deepEqual(withFound(ours, found, allowed).env, [...ours.env, fromMap, proxy]);
  assert.equal(withFound(ours, { env: 'HTTP_PROXY' }, allowed).env, ours.env);
  const { env: _env, ...without } = ours;
  assert.deepEqual(withFound(without, found, allowed).env, [fromMap, proxy]);
  assert.equal('env' in withFound(without, { env: [{ name: 'B' }] }, allowed), false);
});

test('keeps the last of several variables with one name', () => {
  const [first, last, other] = ['1', '2', '3'].map((value) => ({ name: 'HTTP_PROXY', value }));
  const between = { name: 'no_proxy', value: '' };
  assert.deepEqual(withFound(ours, { env: [first, between, last] }, allowed).env, [...ours.env, between, last]);
  const many = Array.from({ length: 60_000 }, () => first);
  assert.deepEqual(withFound(ours, { env: [...many, other] }, allowed).env, [...ours.env, other]);
});

test('keeps no other field', () => {
  const found = { command: ['sh'], args: [], lifecycle: {}, livenessProbe: {}, envFrom: [{}], volumeDevices: [{}], future: 1, name: 'x' };
  assert.deepEqual(withFound(ours, found, allowed), ours);
});
