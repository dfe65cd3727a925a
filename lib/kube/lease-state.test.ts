import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { observe, remainingMs, renewed, standby } from './lease-state.ts';

const terms = { identity: 'me', leaseDurationMs: 10_000, renewDeadlineMs: 7_000 };
const record = (holder: string, resourceVersion = '1') => ({ holder, resourceVersion, transitions: 0 });
const holding = renewed(1_000);
/** Another's Lease of version 1, first seen at 1000. */
const waiting = observe(standby, record('other'), terms, 1_000).state;

describe('observe', () => {
  for (const { what, state, read, now, mayTake } of [
    { what: 'where there is no Lease', state: standby, read: undefined, now: 1_000, mayTake: true },
    { what: 'that is free', state: standby, read: record(''), now: 1_000, mayTake: true },
    { what: 'of its own', state: holding, read: record('me'), now: 2_000, mayTake: true },
    { what: "of another's that it sees for the first time", state: standby, read: record('other'), now: 99_000, mayTake: false },
    { what: "of another's that was renewed meanwhile", state: waiting, read: record('other', '2'), now: 11_000, mayTake: false },
    { what: "of another's just before its duration is over", state: waiting, read: record('other'), now: 10_999, mayTake: false },
    { what: "of another's that was not renewed for its duration", state: waiting, read: record('other'), now: 11_000, mayTake: true },
    { what: 'that became free while it waited', state: waiting, read: record(''), now: 1_500, mayTake: true },
  ])
    it(`${mayTake ? 'may' : 'may not'} take a Lease ${what}`, () => assert.equal(observe(state, read, terms, now).mayTake, mayTake));

  it('keeps the term when the Lease is its own, free or gone', () => {
    for (const read of [record('me', '9'), record(''), undefined])
      assert.equal(remainingMs(observe(holding, read, terms, 2_000).state, terms, 2_000), 6_000);
  });

  it('ends the term when another holds the Lease', () => {
    assert.equal(remainingMs(observe(holding, record('other'), terms, 2_000).state, terms, 2_000), 0);
  });
});

describe('remainingMs', () => {
  for (const { now, left } of [
    { now: 1_000, left: 7_000 },
    { now: 7_999, left: 1 },
    { now: 8_000, left: 0 },
    { now: 60_000, left: 0 },
  ])
    it(`leaves ${left} ms of the term ${now - 1_000} ms after the renewal was sent`, () =>
      assert.equal(remainingMs(holding, terms, now), left));

  it('leaves no time of the term without a renewal', () => assert.equal(remainingMs(standby, terms, 1_000), 0));
});
