import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePod } from '../../lib/identities/decision/pod-view.ts';
import { rawContainer, rawPod } from '../../lib/identities/decision/testing/raw-pods.ts';
import { proxyAmounts, resourceStyleOf, resourcesFor } from './resources.ts';

const defaults = { cpuRequest: '10m', cpuLimit: '', memoryRequest: '16Mi', memoryLimit: '64Mi' };
const fixed = { limits: { cpu: '1', memory: '1Gi' } };
const styleOf = (spec: Record<string, unknown>) => resourceStyleOf(parsePod(rawPod({ spec })));

test('moves a default limit or request that contradicts what the pod sets', () => {
  assert.deepEqual(proxyAmounts(defaults, { proxyMemoryRequest: '96Mi' }), { ...defaults, memoryRequest: '96Mi', memoryLimit: '96Mi' });
  assert.deepEqual(proxyAmounts(defaults, { proxyMemoryLimit: '8Mi' }), { ...defaults, memoryRequest: '8Mi', memoryLimit: '8Mi' });
  assert.deepEqual(proxyAmounts(defaults, { proxyCpuRequest: '1' }), { ...defaults, cpuRequest: '1' });
});

test('sets limits equal to requests for a guaranteed pod', () => {
  assert.equal(styleOf({ containers: [rawContainer('a', { resources: fixed })] }), 'guaranteed');
  const resources = resourcesFor('guaranteed', defaults, undefined);
  assert.deepEqual(resources?.limits, resources?.requests);
});

test('sets no resources where the pod declares them as a whole', () => {
  assert.equal(styleOf({ containers: [rawContainer('a', { resources: fixed })], resources: { limits: { cpu: '2' } } }), 'none');
  assert.equal(resourcesFor('none', defaults, undefined), undefined);
});

test('keeps what a LimitRange added where the settings say nothing', () => {
  const found = { limits: { cpu: '300m', memory: '1Gi' }, requests: { cpu: '1m', 'ephemeral-storage': '1Gi' } };
  assert.deepEqual(resourcesFor('default', defaults, found), {
    requests: { cpu: '10m', memory: '16Mi', 'ephemeral-storage': '1Gi' },
    limits: { cpu: '300m', memory: '64Mi' },
  });
});
