import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createFakeClock } from '../common/testing/fake-clock.ts';
import { limitEach, waitInTurn } from './token-bucket.ts';

describe('waitInTurn', () => {
  function harness() {
    const clock = createFakeClock();
    const turn = waitInTurn({ perSecond: 10, burst: 1, clock });
    const startMs = clock.now();
    const gone: string[] = [];
    const wait = (name: string, signal?: AbortSignal) => turn(signal).then(() => void gone.push(`${name} ${clock.now() - startMs}`));
    return { clock, gone, wait };
  }

  it('lets callers go one after another in the order of their calls', async () => {
    const { clock, gone, wait } = harness();
    const all = Promise.all(['a', 'b', 'c'].map((name) => wait(name)));
    await clock.advance(1000);
    await all;
    assert.deepEqual(gone, ['a 0', 'b 100', 'c 200']);
  });

  it('gives the place of a caller that aborts to the next', async () => {
    const { clock, gone, wait } = harness();
    const aborting = new AbortController();
    const first = wait('a');
    const aborted = Array.from({ length: 100 }, () => assert.rejects(wait('x', aborting.signal), /given up/));
    const last = wait('b');
    await clock.advance(50);
    aborting.abort(new Error('given up'));
    await Promise.all(aborted);
    await clock.advance(50);
    await Promise.all([first, last]);
    assert.deepEqual(gone, ['a 0', 'b 100']);
  });

  it('sets no timer when nobody waits any longer', async () => {
    const { clock, wait } = harness();
    await wait('a');
    const aborting = new AbortController();
    const waiting = wait('b', aborting.signal);
    assert.equal(clock.timers, 1);
    aborting.abort(new Error('given up'));
    await assert.rejects(waiting, /given up/);
    assert.equal(clock.timers, 0);
  });

  it('rejects a caller whose signal has aborted already', async () => {
    const { wait } = harness();
    await assert.rejects(wait('a', AbortSignal.abort(new Error('given up'))), /given up/);
  });
});

describe('limitEach', () => {
  it('limits each key by itself', async () => {
    const clock = createFakeClock();
    const may = limitEach({ perSecond: 1, burst: 1, keys: 10, clock });
    assert.deepEqual([may('a'), may('a'), may('b')], [true, false, true]);
    await clock.advance(1000);
    assert.equal(may('a'), true);
  });

  it('forgets the key that was used longest ago beyond its number of keys', () => {
    const may = limitEach({ perSecond: 1, burst: 1, keys: 2, clock: createFakeClock() });
    for (const key of ['a', 'b', 'a', 'c']) may(key);
    assert.deepEqual([may('a'), may('b')], [false, true]);
  });
});
