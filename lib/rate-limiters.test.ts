import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { createFakeClock } from '../common/testing/fake-clock.ts';
import { limitEach, waitInFairTurn, waitInTurn } from './rate-limiters.ts';

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

describe('waitInFairTurn', () => {
  function harness(maxWaiting: number) {
    const clock = createFakeClock();
    const turn = waitInFairTurn({ perSecond: 10, burst: 1, maxWaiting, clock });
    const startMs = clock.now();
    const ended: string[] = [];
    const ask = (key: string, name = key) =>
      void turn(key).then((admitted) => ended.push(`${name} ${admitted ? clock.now() - startMs : 'refused'}`));
    return { clock, ended, ask };
  }

  it('gives a key with one caller its turn before the second of a flood', async () => {
    const { clock, ended, ask } = harness(100);
    for (let n = 0; n < 50; n += 1) ask('flood', `flood-${n}`);
    ask('honest');
    await clock.advance(300);
    assert.deepEqual(ended, ['flood-0 0', 'flood-1 100', 'honest 200', 'flood-2 300']);
  });

  it('refuses the newest caller of the longest key when too many wait', async () => {
    const { clock, ended, ask } = harness(2);
    for (const name of ['a', 'b', 'c', 'd']) ask('flood', name);
    ask('honest');
    await clock.advance(1000);
    assert.deepEqual(ended, ['a 0', 'd refused', 'c refused', 'b 100', 'honest 200']);
    assert.equal(clock.timers, 0);
  });

  it('lets a lone caller of a key wait for one turn of each other key at most', async () => {
    const calls = fc.array(fc.record({ key: fc.constantFrom('a', 'b', 'c', 'd'), pauseMs: fc.constantFrom(0, 0, 0, 50) }), {
      maxLength: 60,
    });
    await fc.assert(
      fc.asyncProperty(calls, async (others) => {
        const { clock, ended, ask } = harness(8);
        const before = others.slice(0, others.length / 2);
        for (const { key, pauseMs } of before) {
          ask(key);
          await clock.advance(pauseMs);
        }
        await clock.advance(0);
        const asked = ended.length;
        ask('honest');
        for (const { key, pauseMs } of others.slice(before.length)) {
          ask(key);
          await clock.advance(pauseMs);
        }
        await clock.advance(10_000);
        const admitted = ended.slice(asked).filter((each) => !each.endsWith('refused'));
        const place = admitted.findIndex((each) => each.startsWith('honest'));
        assert.ok(place >= 0 && place <= 4, `${place} in ${ended.join(', ')}`);
        assert.equal(ended.length, others.length + 1, 'everybody gets a result');
      }),
    );
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
