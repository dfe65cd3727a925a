import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { LeaseObservation } from './leader-silence.ts';
import { isSilent, observeLease } from './leader-silence.ts';

type Seen = [atMs: number, version: string | undefined][];
const silentAfter = (durationMs: number, seen: Seen, nowMs: number): boolean => {
  let lease: LeaseObservation | undefined;
  for (const [atMs, resourceVersion] of seen) lease = observeLease(lease, { resourceVersion, durationMs }, atMs);
  assert.ok(lease);
  return isSilent(lease, nowMs);
};

describe('isSilent', () => {
  it('is false until three durations after the last renewal of the Lease', () => {
    const renewed: Seen = [
      [0, '1'],
      [25_000, '2'],
      [40_000, '2'],
    ];
    assert.equal(silentAfter(10_000, renewed, 55_000), false);
    assert.equal(silentAfter(10_000, renewed, 55_001), true);
  });

  it('waits ten seconds at least, in which a candidate takes a free Lease', () => {
    assert.equal(silentAfter(1_000, [[0, undefined]], 10_000), false);
    assert.equal(silentAfter(1_000, [[0, undefined]], 10_001), true);
  });
});
