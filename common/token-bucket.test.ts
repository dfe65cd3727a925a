import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createFakeClock } from './testing/fake-clock.ts';
import { TokenBucket } from './token-bucket.ts';

describe('token bucket', () => {
  it('gives its burst at once, then one token after another', async () => {
    const clock = createFakeClock();
    const bucket = new TokenBucket({ perSecond: 10, burst: 2, clock });
    const takes = () => [bucket.take(), bucket.take(), bucket.take()];
    assert.deepEqual(takes(), [true, true, false]);
    assert.equal(bucket.waitMs, 100);
    await clock.advance(100);
    assert.deepEqual(takes(), [true, false, false]);
  });

  it('saves no more tokens than its burst', async () => {
    const clock = createFakeClock();
    const bucket = new TokenBucket({ perSecond: 10, burst: 2, clock });
    await clock.advance(60_000);
    assert.deepEqual([bucket.take(), bucket.take(), bucket.take()], [true, true, false]);
  });

  it('does not gain tokens when wall time jumps', () => {
    const clock = createFakeClock();
    const bucket = new TokenBucket({ perSecond: 10, burst: 1, clock });
    bucket.take();
    clock.jump(3_600_000);
    assert.equal(bucket.take(), false);
  });
});
