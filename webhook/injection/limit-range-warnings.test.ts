import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rawContainer, rawPod } from '../../lib/identities/decision/testing/raw-pods.ts';
import { limitRange } from '../testing/fixtures.ts';
import { limitRangeWarnings } from './limit-range-warnings.ts';
import { combine, noLimits } from './limit-ranges.ts';

const amounts = (cpu: string, memory: string) => ({ resources: { requests: { cpu, memory }, limits: { cpu, memory } } });
const init = rawContainer('aad-pod-identity-init', amounts('100m', '16Mi'));
const proxy = rawContainer('aad-pod-identity-proxy', { restartPolicy: 'Always', ...amounts('100m', '64Mi') });
const podWith = (spec: Record<string, unknown> = {}) =>
  rawPod({ spec: { initContainers: [init, proxy], containers: [rawContainer('app', amounts('1', '1Gi'))], ...spec } });
const fitting = limitRange({ min: { cpu: '10m' }, max: { cpu: '2', memory: '2Gi' }, maxLimitRequestRatio: { cpu: '2' } });

test('is silent where no LimitRange refuses the injected containers', () => {
  assert.deepEqual(limitRangeWarnings(podWith(), noLimits), []);
  assert.deepEqual(limitRangeWarnings(podWith(), fitting), []);
});

test('is silent about containers of the user', () => {
  assert.deepEqual(limitRangeWarnings(podWith({ containers: [rawContainer('app', amounts('8', '9Gi'))] }), fitting), []);
});

test('names LimitRange, container, amounts and annotation', () => {
  assert.deepEqual(limitRangeWarnings(podWith(), limitRange({ max: { memory: '32Mi' } }, { name: 'small' })), [
    'aad-pod-identity-proxy does not fit: memory request 64Mi is above max 32Mi of LimitRange small: change the LimitRange, or the annotation aadpodidentity.k8s.io/proxy-memory-request',
  ]);
  const both = limitRangeWarnings(podWith(), limitRange({ max: { memory: '8Mi' } }));
  assert.deepEqual(
    both.map((text) => /aadpodidentity.*$/.exec(text)?.[0]),
    ['aadpodidentity.k8s.io/init-memory-request', 'aadpodidentity.k8s.io/proxy-memory-request'],
  );
});

test('says that LimitRanges contradict each other', () => {
  const contradiction = combine([limitRange({ min: { cpu: '200m' } }, { name: 'a' }), limitRange({ max: { cpu: '150m' } }, { name: 'b' })]);
  const fitted = rawContainer('aad-pod-identity-init', amounts('200m', '16Mi'));
  assert.deepEqual(limitRangeWarnings(podWith({ initContainers: [fitted] }), contradiction), [
    'aad-pod-identity-init does not fit: cpu request 200m is above max 150m of LimitRange b: min 200m of LimitRange a contradicts it',
  ]);
});

test('sums up the pod with its sidecars for a LimitRange of type Pod', () => {
  const warningsFor = (pod: Record<string, unknown>, spec = {}) => limitRangeWarnings(podWith(spec), limitRange({}, { name: 'pods', pod }));
  assert.deepEqual(warningsFor({ max: { cpu: '1100m' } }), []);
  assert.deepEqual(warningsFor({ max: { cpu: '1' } }), [
    'the pod with the injected containers does not fit: cpu request 1100m is above max 1 of LimitRange pods for pods',
  ]);
  assert.deepEqual(warningsFor({ max: { memory: '1Gi' } }), [
    'the pod with the injected containers does not fit: memory request 1088Mi is above max 1Gi of LimitRange pods for pods',
  ]);
  // An init container of the user runs beside the sidecars before it, not beside the app.
  const initContainers = [init, proxy, rawContainer('migrate', amounts('3', '1Gi'))];
  assert.deepEqual(warningsFor({ max: { cpu: '3100m', memory: '1088Mi' } }, { initContainers }), []);
  assert.match(warningsFor({ max: { cpu: '3' } }, { initContainers }).join(), /cpu request 3100m is above max 3 of/);
  const classic = { initContainers: [init], containers: [proxy, rawContainer('app', amounts('1', '1Gi'))] };
  assert.match(warningsFor({ max: { cpu: '1' } }, classic).join(), /cpu request 1100m is above max 1 of/);
});

test('is silent about a pod with resources as a whole', () => {
  assert.deepEqual(limitRangeWarnings(podWith({ resources: { limits: { cpu: '9' } } }), limitRange({ max: { cpu: '1m' } })), []);
});

test('warns about a pod whose resources as a whole have no amount', () => {
  assert.notDeepEqual(limitRangeWarnings(podWith({ resources: {} }), limitRange({ max: { cpu: '1m' } })), []);
});
