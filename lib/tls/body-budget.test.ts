import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { createBodyBudget } from './body-budget.ts';

/** Bodies are texts; the source of one is its first letter. */
const openBodies = (maxBytes: number, ...bodies: string[]) => {
  const budget = createBodyBudget<string>(maxBytes);
  for (const body of bodies) budget.open(body, body.charAt(0));
  return budget;
};
const goesOn = { pause: false, cut: [] };

describe('body budget', () => {
  it('counts bytes that have arrived', () => {
    const budget = openBodies(100, 'a1', 'b1');
    assert.deepEqual(budget.add('a1', 40), goesOn);
    assert.deepEqual(budget.add('b1', 20), goesOn);
    assert.equal(budget.bytes, 60);
    budget.close('a1');
    assert.equal(budget.bytes, 20);
  });

  it('pauses all bodies but the oldest of a source that has half', () => {
    const budget = openBodies(100, 'a1', 'a2', 'a3', 'b1');
    assert.deepEqual(budget.add('a2', 40), goesOn);
    assert.deepEqual(budget.add('a3', 20), { pause: true, cut: [] });
    assert.deepEqual(budget.add('a1', 20), goesOn);
    assert.deepEqual(budget.add('b1', 20), goesOn);
    assert.deepEqual(budget.close('a1'), []);
    assert.deepEqual(budget.close('a2'), ['a3']);
  });

  it('resumes all bodies of a source that is below half again', () => {
    const budget = openBodies(100, 'a1', 'a2', 'a3');
    budget.add('a1', 45);
    for (const body of ['a2', 'a3']) assert.equal(budget.add(body, 10).pause, true);
    assert.deepEqual(budget.close('a1'), ['a2', 'a3']);
  });

  it('keeps the turn of the oldest body while it is handled', () => {
    const budget = openBodies(100, 'a1', 'a2');
    budget.add('a1', 60);
    budget.complete('a1', 0);
    assert.equal(budget.add('a2', 1).pause, true);
    assert.deepEqual(budget.close('a1'), ['a2']);
  });

  it('cuts the largest body of the source that has most', () => {
    const budget = openBodies(100, 'a1', 'a2', 'b1');
    budget.add('a1', 30);
    budget.add('a2', 40);
    assert.deepEqual(budget.add('b1', 35), { pause: false, cut: ['a2'] });
    assert.equal(budget.bytes, 65);
  });

  it('cuts no body that has arrived', () => {
    const budget = openBodies(100, 'a1', 'a2', 'b1');
    budget.add('a1', 60);
    budget.complete('a1', 0);
    budget.add('a2', 20);
    assert.deepEqual(budget.add('b1', 25).cut, ['a2']);
  });

  it('pauses a source whose bodies take more while they are handled', () => {
    const budget = openBodies(100, 'a1', 'a2', 'b1');
    budget.add('a1', 20);
    budget.complete('a1', 40);
    assert.equal(budget.add('a2', 1).pause, true);
    assert.deepEqual(budget.add('b1', 45), goesOn);
    assert.deepEqual([budget.bytes, budget.close('a1')], [66, ['a2']]);
  });

  it('cuts nothing of a source that is alone', () => {
    const budget = openBodies(100, 'a1', 'a2');
    budget.add('a1', 60);
    assert.deepEqual(budget.add('a2', 60), { pause: true, cut: [] });
  });

  it('keeps its bound and lets a small body go on under any flood of others', () => {
    const arrival = fc.record({ source: fc.constantFrom('a', 'b', 'c'), body: fc.nat({ max: 9 }), bytes: fc.integer({ min: 1, max: 30 }) });
    fc.assert(
      fc.property(fc.array(arrival, { maxLength: 300 }), (arrivals) => {
        const budget = openBodies(100, 'h1');
        const open = new Set(['h1']);
        for (const { source, body, bytes } of arrivals) {
          const name = `${source}${body}`;
          if (!open.has(name)) budget.open(name, source);
          open.add(name);
          for (const cut of budget.add(name, bytes).cut) open.delete(cut);
          assert.ok(budget.bytes <= 100);
        }
        // A fourth of the budget is its share of four sources.
        assert.deepEqual([budget.add('h1', 25).pause, open.has('h1')], [false, true]);
      }),
    );
  });
});
