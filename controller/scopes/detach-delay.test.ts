import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { expired, nextExpiryMs, trackUnused } from './detach-delay.ts';

describe('detach delay', () => {
  const unused = trackUnused(new Map([['old', 1_000]]), ['old', 'new', 'needed'], new Set(['needed']), 5_000);

  it('keeps since when an identity is unused and begins for new ones', () => {
    assert.deepEqual(Object.fromEntries(unused), { old: 1_000, new: 5_000 });
  });

  it('begins anew for an identity that was needed meanwhile', () => {
    const needed = trackUnused(unused, ['old'], new Set(['old']), 6_000);
    assert.deepEqual(Object.fromEntries(trackUnused(needed, ['old'], new Set(), 7_000)), { old: 7_000 });
  });

  it('expires after the delay, each identity by itself', () => {
    assert.deepEqual([...expired(unused, 4_000, 4_999)], []);
    assert.deepEqual([...expired(unused, 4_000, 5_000)], ['old']);
    assert.equal(nextExpiryMs(unused, 4_000, 5_000), 4_000);
    assert.equal(nextExpiryMs(new Map(), 4_000, 5_000), Number.POSITIVE_INFINITY);
  });
});
