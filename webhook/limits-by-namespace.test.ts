import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Change, Informer } from '../lib/kube/informer.ts';
import type { LimitRange } from './injection/limit-ranges.ts';
import { noLimits } from './injection/limit-ranges.ts';
import { limitsByNamespace } from './limits-by-namespace.ts';
import { limitRange } from './testing/fixtures.ts';

test('follows the LimitRanges of a namespace, and combines them once', () => {
  const objects = new Map<string, LimitRange>();
  const listeners = new Set<(change: Change<LimitRange>) => void>();
  const informer: Pick<Informer<LimitRange>, 'get' | 'onChange'> = {
    get: (key) => objects.get(key),
    onChange: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
  const change = (key: string, after: LimitRange | undefined) => {
    const before = objects.get(key);
    if (after === undefined) objects.delete(key);
    else objects.set(key, after);
    for (const listener of listeners) listener({ key, before, after });
  };
  const limitsOf = limitsByNamespace(informer);
  const minOf = (namespace: string) => limitsOf(namespace).container.cpu.min?.text;

  assert.equal(limitsOf('team'), noLimits);
  change('team/a', limitRange({ min: { cpu: '1' } }));
  change('team/b', limitRange({ min: { cpu: '2' } }));
  assert.equal(minOf('team'), '2');
  assert.equal(limitsOf('team'), limitsOf('team'));
  assert.equal(limitsOf('other'), noLimits);
  change('team/b', limitRange({ min: { cpu: '3' } }));
  assert.equal(minOf('team'), '3');
  change('team/b', undefined);
  assert.equal(minOf('team'), '1');
  change('team/a', undefined);
  assert.equal(limitsOf('team'), noLimits);
});
