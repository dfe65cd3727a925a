import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseMilliQuantity, parseQuantity } from './quantity.ts';

test('parses resource quantities as Kubernetes does', () => {
  const cases: [unknown, number | undefined][] = [
    ['100m', 0.1],
    ['0.1', 0.1],
    ['.5', 0.5],
    ['1', 1],
    [2, 2],
    ['1k', 1000],
    ['1Ki', 1024],
    ['64Mi', 64 * 2 ** 20],
    ['1e3', 1000],
    ['1E-3', 0.001],
    ['9m', 0.009],
    ['2E', 2e18],
    ['1Ei', 2 ** 60],
    ['+5', 5],
    ['', undefined],
    ['-1', undefined],
    ['1 Mi', undefined],
    ['1mi', undefined],
    ['Mi', undefined],
    ['1e', undefined],
    [null, undefined],
    [Number.NaN, undefined],
  ];
  for (const [text, value] of cases) assert.equal(parseQuantity(text), value, String(text));
});

test('rounds thousandths up to an integer', () => {
  const cases: [unknown, number | undefined][] = [
    ['10m', 10],
    ['1.001', 1001],
    ['0.0005', 1],
    ['1500u', 2],
    ['64Mi', 64_000 * 2 ** 20],
    ['5G', 5e12],
    ['x', undefined],
  ];
  for (const [text, value] of cases) assert.equal(parseMilliQuantity(text), value, String(text));
});
