import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { expired, nextExpiryMs, trackUnused } from './detach-delay.ts';

describe('detach delay', () => {
  const unused = trackUnused(new Map([['old', 1_000]]), ['old', 'new', 'needed'], new Set(['needed']), 5_000);

  it('remembers since when an identity is unused', () => {
    assert.deepEqual(Object.fromEntries(unused), { old: 1_000, new: 5_000 });
  });

  it('starts the detach delay again for an identity that was needed meanwhile', () => {
    const needed = trackUnused(unused, ['old'], new Set(['old']), 6_000);
    assert.deepEqual(Object.fromEntries(trackUnused(needed, ['old'], new Set(), 7_000)), { old: 7_000 });
  });

  it('ends the detach delay of each identity by itself', () => {
    assert.deepEqual([...expired(unused, 4_000, 4_999)], []);
    assert.deepEqual([...expired(unused, 4_000, 5_000)], ['old']);
    assert.equal(nextExpiryMs(unused, 4_000, 5_000), 4_000);
    assert.equal(nextExpiryMs(new Map(), 4_000, 5_000), Number.POSITIVE_INFINITY);
  });
});
