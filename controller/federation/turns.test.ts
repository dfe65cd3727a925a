import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createTurns } from './turns.ts';

const now = 1_000_000;

describe('turns to compare identities', () => {
  it('come at once for a burst, then six in a second', () => {
    const turns = createTurns();
    const dates = Array.from({ length: 72 }, () => turns.take(['team'], now) - now);
    assert.deepEqual(new Set(dates.slice(0, 60)), new Set([0]));
    assert.deepEqual([Math.round(dates[60] ?? 0), Math.round(dates[71] ?? 0)], [167, 2_000]);
  });

  it('do not come later for the turns of another namespace', () => {
    const turns = createTurns();
    for (let taken = 0; taken < 5_000; taken += 1) turns.take(['team'], now);
    assert.equal(turns.next(['other'], now), now);
    assert.equal(turns.take(['team', 'other'], now), now);
  });

  it('of an identity that two namespaces name are taken from the one that took more', () => {
    const turns = createTurns();
    turns.take(['loud'], now);
    for (let taken = 0; taken < 59; taken += 1) turns.take(['quiet', 'loud'], now);
    assert.ok(turns.next(['loud'], now) > now);
    for (let taken = 0; taken < 60; taken += 1) assert.equal(turns.take(['quiet'], now), now);
  });

  it('come at once again after a pause', () => {
    const turns = createTurns();
    for (let taken = 0; taken < 60; taken += 1) turns.take(['team'], now);
    assert.ok(turns.next(['team'], now) > now);
    assert.equal(turns.next(['team'], now + 10_000), now + 10_000);
  });
});
