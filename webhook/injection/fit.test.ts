import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { limitRange } from '../testing/fixtures.ts';
import type { Amount } from './fit.ts';
import { fit, textOf, violationOf } from './fit.ts';
import type { Bounds, LimitedResource, Quantity } from './limit-ranges.ts';
import { combine, quantityOf } from './limit-ranges.ts';

function quantity(text: string): Quantity {
  const found = quantityOf(text);
  assert.ok(found !== undefined, text);
  return found;
}

interface FitCase {
  bounds: Parameters<typeof limitRange>[0];
  request: string;
  limit?: string;
  needsLimit?: boolean;
  expected: [request: string, limit: string | undefined];
}
const cpu = (value: string) => ({ cpu: value });
const cases: Record<string, FitCase> = {
  'leaves amounts without bounds': { bounds: {}, request: '10m', expected: ['10m', undefined] },
  'raises a request to min': { bounds: { min: cpu('50m') }, request: '10m', expected: ['50m', undefined] },
  'raises request and limit to min': { bounds: { min: cpu('50m') }, request: '10m', limit: '20m', expected: ['50m', '50m'] },
  'takes the default as the limit': { bounds: { default: cpu('300m') }, request: '10m', expected: ['10m', '300m'] },
  'prefers its own limit to the default': { bounds: { default: cpu('300m') }, request: '10m', limit: '1', expected: ['10m', '1'] },
  'prefers the default to its own fallback': {
    bounds: { default: cpu('300m') },
    request: '10m',
    needsLimit: true,
    expected: ['10m', '300m'],
  },
  'raises a default below the request': { bounds: { default: cpu('300m') }, request: '1', expected: ['1', '1'] },
  'lowers a limit to max': { bounds: { max: cpu('20m') }, request: '10m', limit: '1', expected: ['10m', '20m'] },
  'adds a limit where max demands one': { bounds: { max: cpu('1') }, request: '10m', expected: ['10m', '100m'] },
  'adds a limit and raises the request for a ratio': {
    bounds: { maxLimitRequestRatio: cpu('3') },
    request: '10m',
    expected: ['34m', '100m'],
  },
  'raises the request to limit / ratio': {
    bounds: { maxLimitRequestRatio: cpu('1.5') },
    request: '10m',
    limit: '3',
    expected: ['2', '3'],
  },
  'never lowers a request': { bounds: { max: cpu('5m') }, request: '10m', limit: '1', expected: ['10m', '10m'] },
};
for (const [title, { bounds, request, limit, needsLimit = false, expected }] of Object.entries(cases))
  test(`fit ${title}`, () => {
    const amount = { request: quantity(request), limit: quantityOf(limit) };
    const fitted = fit(amount, limitRange(bounds).container.cpu, { resource: 'cpu', needsLimit });
    assert.deepEqual([fitted.request.text, fitted.limit?.text], expected);
  });

test('rounds a request for a memory ratio up to Mi, at most to the limit', () => {
  const requestFor = (limit: string, ratio: string) => {
    const bounds = limitRange({ maxLimitRequestRatio: { memory: ratio } }).container.memory;
    return fit({ request: quantity('1Mi'), limit: quantity(limit) }, bounds, { resource: 'memory', needsLimit: false }).request.text;
  };
  assert.equal(requestFor('64Mi', '3'), '22Mi');
  assert.equal(requestFor('64Mi', '2'), '32Mi');
  assert.equal(requestFor('2Gi', '2'), '1Gi');
  assert.equal(requestFor('1500k', '1.2'), '1500k');
});

test('keeps a memory request that satisfies the ratio unrounded', () => {
  const bounds = limitRange({ maxLimitRequestRatio: { memory: '1.5' } }).container.memory;
  const amount = { request: quantity('2'), limit: quantity('3') };
  assert.deepEqual(fit(amount, bounds, { resource: 'memory', needsLimit: false }), amount);
});

test('writes quantities as the API server does', () => {
  assert.deepEqual(
    [34, 2000].map((milli) => textOf(milli, 'cpu')),
    ['34m', '2'],
  );
  assert.deepEqual(
    [0, 1, 2 ** 20 * 1000, 3 * 2 ** 29 * 1000, 2 ** 40 * 1000].map((milli) => textOf(milli, 'memory')),
    ['0', '1', '1Mi', '1536Mi', '1Ti'],
  );
});

// An oracle of its own, after limitRequestRatioConstraint and its neighbours in plugin/pkg/admission/limitranger of Kubernetes.
function isAccepted({ request, limit }: Amount, { min, max, ratio }: Bounds): boolean {
  if (min !== undefined && (request.milli < min.milli || (limit !== undefined && limit.milli < min.milli))) return false;
  if (max !== undefined && (limit === undefined || limit.milli > max.milli || request.milli > max.milli)) return false;
  return ratio === undefined || (limit !== undefined && (limit.milli / request.milli) * 1000 <= ratio.milli);
}

const amountTexts: Record<LimitedResource, fc.Arbitrary<string>> = {
  cpu: fc.oneof(
    fc.integer({ min: 1, max: 4000 }).map((milli) => `${milli}m`),
    fc.integer({ min: 1, max: 40 }).map((tenths) => `${tenths / 10}`),
  ),
  memory: fc.oneof(
    fc.integer({ min: 1, max: 4096 }).map((count) => `${count}Mi`),
    fc.integer({ min: 1, max: 5e9 }).map((bytes) => `${bytes}`),
    fc.integer({ min: 1, max: 5000 }).map((count) => `${count}M`),
  ),
};
const resources = fc.constantFrom<LimitedResource>('cpu', 'memory');
const scenarios = resources.chain((resource) => {
  const some = fc.option(amountTexts[resource], { nil: undefined });
  const ratio = fc.option(
    fc.integer({ min: 1000, max: 9000 }).map((milli) => `${milli}m`),
    { nil: undefined },
  );
  const range = fc.record({ min: some, max: some, default: some, maxLimitRequestRatio: ratio }).map((item) => {
    // The API server sets the default to max where there is none.
    const all = { ...item, default: item.default ?? item.max };
    const given = Object.entries(all).flatMap(([field, text]) => (text === undefined ? [] : [[field, { [resource]: text }]]));
    return limitRange(Object.fromEntries(given) as Parameters<typeof limitRange>[0]);
  });
  return fc.record({
    resource: fc.constant(resource),
    request: amountTexts[resource].map(quantity),
    limit: some.map(quantityOf),
    needsLimit: fc.boolean(),
    ranges: fc.array(range, { maxLength: 3 }),
  });
});
const runs = { numRuns: 5_000 };

test('fit satisfies every LimitRange that any amount from the request up satisfies', () => {
  fc.assert(
    fc.property(scenarios, ({ resource, request, limit, needsLimit, ranges }) => {
      const bounds = combine(ranges).container[resource];
      const most = bounds.max?.milli ?? Number.POSITIVE_INFINITY;
      const isSatisfiable = request.milli <= most && (bounds.min?.milli ?? 0) <= most;
      const fitted = fit({ request, limit }, bounds, { resource, needsLimit });
      assert.ok(fitted.request.milli >= request.milli);
      assert.ok(fitted.limit === undefined || fitted.limit.milli >= fitted.request.milli);
      assert.ok(!needsLimit || fitted.limit !== undefined);
      assert.equal(
        ranges.every((range) => isAccepted(fitted, range.container[resource])),
        isSatisfiable,
      );
      assert.equal(
        ranges.every((range) => violationOf(fitted, range.container[resource]) === undefined),
        isSatisfiable,
      );
      for (const amount of [fitted.request, fitted.limit]) assert.equal(quantityOf(amount?.text)?.milli, amount?.milli);
    }),
    runs,
  );
});

test('fit leaves an amount that every LimitRange accepts', () => {
  fc.assert(
    fc.property(scenarios, ({ resource, request, limit, needsLimit, ranges }) => {
      const bounds = combine(ranges).container[resource];
      const fitted = fit({ request, limit }, bounds, { resource, needsLimit });
      if (!ranges.every((range) => isAccepted(fitted, range.container[resource]))) return;
      assert.deepEqual(fit(fitted, bounds, { resource, needsLimit }), fitted);
      if (
        limit !== undefined &&
        limit.milli >= request.milli &&
        ranges.every((range) => isAccepted({ request, limit }, range.container[resource]))
      )
        assert.deepEqual(fitted, { request, limit });
    }),
    runs,
  );
});

test('violationOf says what is wrong, with both numbers and the LimitRange', () => {
  const text = (amounts: [string?, string?], item: Parameters<typeof limitRange>[0]) =>
    violationOf({ request: quantityOf(amounts[0]), limit: quantityOf(amounts[1]) }, limitRange(item, { name: 'l' }).container.cpu);
  assert.equal(text(['1', '2'], { min: cpu('1'), max: cpu('2'), maxLimitRequestRatio: cpu('2') }), undefined);
  assert.equal(text([], { min: cpu('1') }), 'has no request, against min 1 of LimitRange l');
  assert.equal(text(['1'], { min: cpu('2') }), 'request 1 is below min 2 of LimitRange l');
  assert.equal(text(['2', '1'], { min: cpu('2') }), 'limit 1 is below min 2 of LimitRange l');
  assert.equal(text(['1'], { max: cpu('2') }), 'has no limit, against max 2 of LimitRange l');
  assert.equal(text(['3', '3'], { max: cpu('2') }), 'request 3 is above max 2 of LimitRange l');
  assert.equal(text(['1', '3'], { max: cpu('2') }), 'limit 3 is above max 2 of LimitRange l');
  const ratio = { maxLimitRequestRatio: cpu('2.5') };
  assert.equal(text(['1', '3'], ratio), 'limit 3 is too high for request 1 and maxLimitRequestRatio 2.5 of LimitRange l');
  assert.equal(text(['1'], ratio), 'has no request or no limit, against maxLimitRequestRatio 2.5 of LimitRange l');
});
