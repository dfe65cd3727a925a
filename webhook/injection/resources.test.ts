import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PodView } from '../../lib/identities/decision/pod-view.ts';
import { parsePod } from '../../lib/identities/decision/pod-view.ts';
import { rawContainer, rawPod } from '../../lib/identities/decision/testing/raw-pods.ts';
import { limitRange } from '../testing/fixtures.ts';
import { combine, noLimits } from './limit-ranges.ts';
import { amountsOf, fittedAmounts, resourceStyleOf, resourcesFor } from './resources.ts';

const defaults = { cpuRequest: '10m', cpuLimit: '', memoryRequest: '16Mi', memoryLimit: '64Mi' };
const fixed = { limits: { cpu: '1', memory: '1Gi' } };
const podOf = (spec: Record<string, unknown>): PodView => parsePod(rawPod({ spec }));
const styleOf = (spec: Record<string, unknown>) => resourceStyleOf(podOf(spec));

test('moves a default limit or request that contradicts what an annotation sets', () => {
  const withProxy = (options: object) => amountsOf('proxy', defaults, [options]);
  assert.deepEqual(withProxy({ proxyMemoryRequest: '96Mi' }), { ...defaults, memoryRequest: '96Mi', memoryLimit: '96Mi' });
  assert.deepEqual(withProxy({ proxyMemoryLimit: '8Mi' }), { ...defaults, memoryRequest: '8Mi', memoryLimit: '8Mi' });
  assert.deepEqual(withProxy({ proxyCpuRequest: '1' }), { ...defaults, cpuRequest: '1' });
  assert.deepEqual(withProxy({ initCpuRequest: '1' }), defaults);
  assert.deepEqual(amountsOf('init', defaults, [{ initCpuRequest: '1', proxyCpuLimit: '2' }]), { ...defaults, cpuRequest: '1' });
});

test('prefers annotations of the pod to those of its namespace', () => {
  const namespace = { proxyCpuLimit: '200m', proxyMemoryLimit: '32Mi' };
  const amounts = amountsOf('proxy', defaults, [namespace, { proxyCpuLimit: '300m', proxyMemoryRequest: '48Mi' }]);
  assert.deepEqual(amounts, { cpuRequest: '10m', cpuLimit: '300m', memoryRequest: '48Mi', memoryLimit: '48Mi' });
});

test('sets limits equal to requests for a guaranteed pod', () => {
  const pod = podOf({ containers: [rawContainer('a', { resources: fixed })] });
  assert.equal(resourceStyleOf(pod), 'guaranteed');
  const resources = resourcesFor('guaranteed', fittedAmounts(defaults, pod, noLimits), undefined);
  assert.deepEqual(resources, { limits: { cpu: '100m', memory: '64Mi' }, requests: { cpu: '100m', memory: '64Mi' } });
});

test('takes no default limit of a LimitRange for a guaranteed pod', () => {
  const pod = podOf({ containers: [rawContainer('a', { resources: fixed })] });
  const limits = limitRange({ default: { cpu: '2' }, min: { memory: '80Mi' }, maxLimitRequestRatio: { cpu: '1' } });
  assert.deepEqual(resourcesFor('guaranteed', fittedAmounts(defaults, pod, limits), undefined)?.requests, { cpu: '100m', memory: '80Mi' });
});

test('sets a CPU limit where every container of the pod has one', () => {
  const limited = (name: string) => rawContainer(name, { resources: { limits: { cpu: '1' } } });
  const cpuLimitIn = (spec: Record<string, unknown>, amounts = defaults) => fittedAmounts(amounts, podOf(spec), noLimits).cpuLimit;
  assert.equal(cpuLimitIn({ containers: [limited('a'), limited('b')], initContainers: [limited('c')] }), '100m');
  assert.equal(cpuLimitIn({ containers: [limited('a')] }, { ...defaults, cpuLimit: '20m' }), '20m');
  assert.equal(cpuLimitIn({ containers: [limited('a')] }, { ...defaults, cpuRequest: '200m' }), '200m');
  assert.equal(cpuLimitIn({ containers: [limited('a'), rawContainer('b')] }), '');
  assert.equal(cpuLimitIn({ containers: [limited('a')], initContainers: [rawContainer('c')] }), '');
});

test('fits amounts to all LimitRanges of the namespace', () => {
  const pod = podOf({ containers: [rawContainer('a')] });
  const ranges = [
    limitRange({ min: { cpu: '50m' }, max: { memory: '1Gi' }, default: { cpu: '300m', memory: '512Mi' } }),
    limitRange({ min: { memory: '32Mi' }, maxLimitRequestRatio: { cpu: '2' } }),
  ];
  assert.deepEqual(fittedAmounts(defaults, pod, combine(ranges)), {
    cpuRequest: '150m',
    cpuLimit: '300m',
    memoryRequest: '32Mi',
    memoryLimit: '64Mi',
  });
});

test('sets no resources where the pod declares them as a whole', () => {
  assert.equal(styleOf({ containers: [rawContainer('a', { resources: fixed })], resources: { limits: { cpu: '2' } } }), 'none');
  assert.deepEqual(resourcesFor('none', defaults, undefined), {});
});

// https://github.com/istio/istio/issues/57393: a pod-level `resources` without amounts, as templates render it, is no budget to live from.
test('sets resources where the pod declares a whole without any amount', () => {
  for (const resources of [{}, { limits: {} }, { requests: null, limits: {} }])
    assert.equal(styleOf({ containers: [rawContainer('a')], resources }), 'default');
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
