import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ObservedState } from './observed-state.ts';
import {
  invalidate,
  invalidateIdentities,
  isFresh,
  isReadDue,
  isUsable,
  nextReadAt,
  nothingObserved,
  observe,
  requestRefresh,
} from './observed-state.ts';

const intervalMs = 200_000;
const present = { clientId: 'c', principalId: 'p' };
const both = new Map([
  ['red', present],
  ['blue', present],
]);

/** A GET that was sent when `requestedBefore` refreshes had been requested. */
const read = (state: ObservedState, now: number, requestedBefore = state.refreshes.requested, spread = 0) =>
  observe(state, { attached: both, imdsRestricted: false, requestedBefore, now, intervalMs, spread });

describe('observed state of a scope', () => {
  const seen = read(nothingObserved, 1_000);
  for (const [title, holds, at, expected] of [
    ['is fresh for 30 s', isFresh, 30_999, true],
    ['is not fresh after 30 s', isFresh, 31_000, false],
    ['is usable for an interval', isUsable, 200_999, true],
    ['is not usable after an interval', isUsable, 201_000, false],
    ['is not due within an interval', isReadDue, 200_999, false],
    ['is due after an interval', isReadDue, 201_000, true],
  ] as const)
    it(title, () => assert.equal(holds(seen, intervalMs, at), expected));

  it('is due for a GET at once before the first one', () => assert.ok(isReadDue(nothingObserved, intervalMs, 0)));

  it('spreads the next GETs of scopes that were read together', () => {
    const next = [0, 0.5, 1].map((spread) => nextReadAt(read(nothingObserved, 0, 0, spread), intervalMs));
    assert.deepEqual(next, [200_000, 210_000, 220_000]);
  });

  it('is due a twentieth of the interval after a refresh was requested', () => {
    const requested = requestRefresh(read(nothingObserved, 0));
    assert.equal(nextReadAt(requested, intervalMs), 10_000);
    assert.equal(nextReadAt(read(requested, 10_000), intervalMs), 210_000);
  });

  it('does not answer a request that was made during the GET', () => {
    const requested = requestRefresh(read(nothingObserved, 0));
    const during = read(requestRefresh(requested), 10_000, requested.refreshes.requested);
    assert.equal(nextReadAt(during, intervalMs), 20_000);
  });

  it('keeps the rest when some identities are invalidated', () => {
    const rest = invalidateIdentities(seen, ['red', 'never-seen']);
    assert.deepEqual([...(rest.attached ?? [])], [['blue', present]]);
    assert.deepEqual([...both.keys()], ['red', 'blue'], 'the original is unchanged');
    assert.ok(isFresh(rest, intervalMs, 2_000));
  });

  it('knows nothing once it is invalidated', () => {
    assert.equal(invalidate(seen).attached, undefined);
    assert.ok(isReadDue(invalidate(seen), intervalMs, 2_000));
  });
});
