import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createFakeClock } from '../common/testing/fake-clock.ts';
import { onceIn } from './once-in.ts';

describe('onceIn', () => {
  it('allows the same text once in its time, and another text at once', async () => {
    const clock = createFakeClock();
    const isNew = onceIn(60_000, clock);
    assert.deepEqual([isNew('a'), isNew('a'), isNew('b')], [true, false, true]);
    await clock.advance(59_999);
    assert.equal(isNew('a'), false);
    await clock.advance(1);
    assert.equal(isNew('a'), true);
  });

  it('forgets the text that was seen longest ago beyond its number of texts', () => {
    const isNew = onceIn(60_000, createFakeClock(), 2);
    for (const text of ['a', 'b', 'a', 'c']) isNew(text);
    assert.deepEqual([isNew('a'), isNew('b')], [false, true]);
  });
});
