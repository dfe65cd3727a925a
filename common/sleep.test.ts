import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { sleep } from './sleep.ts';
import { createFakeClock } from './testing/fake-clock.ts';

describe('sleep', () => {
  it('resolves after its time', async () => {
    const clock = createFakeClock();
    let isOver = false;
    const sleeping = sleep(clock, 100, new AbortController().signal).then(() => {
      isOver = true;
    });
    await clock.advance(99);
    assert.equal(isOver, false);
    await clock.advance(1);
    await sleeping;
  });

  it('resolves as soon as its signal aborts, and leaves no timer', async () => {
    const clock = createFakeClock();
    const aborting = new AbortController();
    const sleeping = sleep(clock, 100, aborting.signal);
    aborting.abort();
    await sleeping;
    assert.equal(clock.timers, 0);
    await sleep(clock, 100, aborting.signal);
    assert.equal(clock.timers, 0);
  });
});
