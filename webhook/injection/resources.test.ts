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
  assert.deepEqual(resources.limits, resources.requests);
});

test('sets no resources where the pod declares them as a whole', () => {
  assert.equal(styleOf({ containers: [rawContainer('a', { resources: fixed })], resources: { limits: { cpu: '2' } } }), 'none');
  assert.deepEqual(resourcesFor('none', defaults, undefined), {});
});

test('keeps the amounts that the container has and fills in what is missing', () => {
  const found = { limits: { cpu: '300m' }, requests: { cpu: '1m', 'ephemeral-storage': '1Gi' } };
  assert.deepEqual(resourcesFor('default', defaults, found), {
    requests: { cpu: '1m', memory: '16Mi', 'ephemeral-storage': '1Gi' },
    limits: { cpu: '300m', memory: '64Mi' },
  });
  assert.deepEqual(resourcesFor('none', defaults, found), found);
  assert.deepEqual(resourcesFor('default', defaults, { limits: {} }), resourcesFor('default', defaults, undefined));
});

test('fills in no request above a found limit and no limit below a found request', () => {
  assert.deepEqual(resourcesFor('default', defaults, { limits: { cpu: '5m', memory: '8Mi' } }), {
    requests: { cpu: '5m', memory: '8Mi' },
    limits: { cpu: '5m', memory: '8Mi' },
  });
  assert.deepEqual(resourcesFor('default', { ...defaults, cpuLimit: '50m' }, { requests: { cpu: '1', memory: '1Gi' } }), {
    requests: { cpu: '1', memory: '1Gi' },
    limits: { cpu: '1', memory: '1Gi' },
  });
});

test('keeps amounts in a guaranteed pod only where they are guaranteed too', () => {
  const own = resourcesFor('guaranteed', defaults, undefined);
  assert.deepEqual(resourcesFor('guaranteed', defaults, { limits: { cpu: '1' }, requests: { cpu: '1m' } }), own);
  const all = { cpu: '1', memory: '64Mi' };
  assert.deepEqual(resourcesFor('guaranteed', defaults, { limits: { cpu: '1' }, requests: { cpu: '1' } }), { requests: all, limits: all });
});

test('keeps no resource that can bring devices, and no amount that is none', () => {
  const found = {
    claims: [{ name: 'gpu' }],
    limits: { 'nvidia.com/gpu': '1', cpu: 'x', memory: null },
    requests: { 'hugepages-2Mi': '2Mi', cpu: '7m' },
  };
  const expected = { requests: { cpu: '7m', memory: '16Mi' }, limits: { memory: '64Mi' } };
  assert.deepEqual(resourcesFor('default', defaults, found), expected);
  assert.deepEqual(resourcesFor('none', defaults, found), { requests: { cpu: '7m' } });
});
