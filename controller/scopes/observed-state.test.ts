// For how long what Azure showed counts, and what ends it sooner.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createSight } from './observed-state.ts';

const reconcileMs = 200_000;
const there = { clientId: 'c', principalId: 'p' };
const both = new Map([
  ['red', there],
  ['blue', there],
]);

function seenAt(start: number, random = 0) {
  let now = start;
  const sight = createSight({ reconcileMs, now: () => new Date(now), random: () => random });
  sight.end(sight.begin(), both);
  return {
    sight,
    /** A look that begins now and shows both; `meanwhile` happens before its answer. */
    look(at: number, meanwhile: () => void = () => undefined) {
      now = at;
      const begun = sight.begin();
      meanwhile();
      sight.end(begun, both);
    },
  };
}

describe('what a look at Azure showed', () => {
  it('is acted upon for 30 s, good enough in need for an interval, and overdue after it', () => {
    const { sight } = seenAt(1_000);
    assert.deepEqual([sight.isFresh(30_999), sight.isFresh(31_000)], [true, false]);
    assert.deepEqual([sight.isUsable(200_999), sight.isUsable(201_000)], [true, false]);
    assert.deepEqual([sight.isOverdue(200_999), sight.isOverdue(201_000)], [false, true]);
  });

  it('is overdue at another time for each scope, or all of them would be looked at together after a start', () => {
    const next = [0, 0.5, 1].map((random) => seenAt(0, random).sight.nextLookAt() ?? 0);
    assert.ok(next.every((at, index) => at > (next[index - 1] ?? 0)));
  });

  it('is looked at again a twentieth of the interval after it where a sidecar doubts it, also one that doubted during the look', () => {
    const { sight, look } = seenAt(0);
    assert.equal(sight.nextLookAt(), 200_000);
    sight.doubt();
    assert.equal(sight.nextLookAt(), 10_000);
    look(10_000, sight.doubt);
    assert.equal(sight.nextLookAt(), 20_000);
    look(20_000);
    assert.equal(sight.nextLookAt(), 220_000);
  });

  it('stays in doubt where the look that should have answered failed', () => {
    const { sight, look } = seenAt(0);
    sight.doubt();
    sight.begin();
    assert.equal(sight.nextLookAt(), 10_000);
    look(10_000);
    assert.equal(sight.nextLookAt(), 210_000);
  });

  it('counts no more for what is forgotten, and goes on to count for the rest', () => {
    const { sight } = seenAt(0);
    sight.forgetSome(['red', 'never-seen']);
    assert.deepEqual([...(sight.attached ?? [])], [['blue', there]]);
    assert.deepEqual([...both.keys()], ['red', 'blue'], 'whoever else has it keeps it');
    assert.ok(sight.isFresh(1_000));
    sight.forget();
    assert.equal(sight.attached, undefined);
    assert.ok(sight.isOverdue(1_000));
  });
});
