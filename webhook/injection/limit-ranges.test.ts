import assert from 'node:assert/strict';
import { test } from 'node:test';
import { limitRange } from '../testing/fixtures.ts';
import { combine, limitRangeOf, noLimits } from './limit-ranges.ts';

test('reads nothing from a LimitRange without usable bounds', () => {
  const claims = { type: 'PersistentVolumeClaim', max: { storage: '1Gi' } };
  for (const limits of [undefined, null, 'x', [null], [claims], [{ type: 'Container' }]])
    assert.deepEqual(limitRangeOf({ metadata: { name: 'l', namespace: 'team' }, spec: { limits } }), { namespace: 'team', ...noLimits });
  assert.deepEqual(limitRange({ min: { cpu: '-1' }, max: { cpu: 'x', 'nvidia.com/gpu': '1' } }).container, noLimits.container);
});

test('combines LimitRanges to their strictest bounds, with the name of each', () => {
  const all = [
    limitRange({ min: { cpu: '50m' }, max: { cpu: '2' }, default: { cpu: '1' }, maxLimitRequestRatio: { cpu: '4' } }, { name: 'a' }),
    limitRange(
      { min: { cpu: '0.1' }, max: { cpu: '3' }, default: { cpu: '500m' }, maxLimitRequestRatio: { cpu: '5' } },
      { name: 'b', pod: { max: { cpu: '4' } } },
    ),
  ];
  const { container, pod } = combine(all);
  assert.deepEqual(container.cpu, {
    min: { text: '0.1', milli: 100, range: 'b' },
    max: { text: '2', milli: 2000, range: 'a' },
    default: { text: '500m', milli: 500, range: 'b' },
    ratio: { text: '4', milli: 4000, range: 'a' },
  });
  assert.deepEqual(container.memory, noLimits.container.memory);
  assert.deepEqual(pod.cpu.max, { text: '4', milli: 4000, range: 'b' });
  assert.equal(combine([]), noLimits);
});
