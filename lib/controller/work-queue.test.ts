import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Clock } from '../../common/clock.ts';
import { createFakeClock } from '../../common/testing/fake-clock.ts';
import type { WorkQueueOptions } from './work-queue.ts';
import { WorkQueue } from './work-queue.ts';

function harness(options: Omit<WorkQueueOptions, 'onReady' | 'clock'> = {}) {
  const clock = createFakeClock();
  const queue = new WorkQueue({ ...options, clock, onReady: () => undefined });
  const startMs = clock.now();
  /** Takes and ends everything that is ready. */
  const drain = (): string[] => {
    const taken: string[] = [];
    for (let key = queue.take(); key !== undefined; key = queue.take()) {
      taken.push(key);
      queue.done(key);
    }
    return taken;
  };
  /** The times, since the start, at which keys became ready until `endMs`. */
  const readyTimes = async (endMs: number): Promise<number[]> => {
    const times: number[] = [];
    while (clock.now() - startMs < endMs) {
      for (const _ of drain()) times.push(clock.now() - startMs);
      await clock.advance(1);
    }
    return times;
  };
  return { clock, queue, drain, readyTimes };
}

describe('work queue', () => {
  it('gives keys in the order of their first add, each once', () => {
    const { queue, drain } = harness();
    for (const key of ['b', 'a', 'b', 'c', 'a']) queue.add(key);
    assert.deepEqual(drain(), ['b', 'a', 'c']);
  });

  it('queues a key that is added under work once more when the work ends', () => {
    const { queue } = harness();
    queue.add('a');
    assert.equal(queue.take(), 'a');
    queue.add('a');
    queue.add('a');
    assert.equal(queue.take(), undefined);
    queue.done('a');
    assert.equal(queue.take(), 'a');
    queue.done('a');
    assert.equal(queue.take(), undefined);
  });

  it('calls onReady for each key that becomes ready and for no other add', () => {
    let calls = 0;
    const queue = new WorkQueue({ onReady: () => (calls += 1), clock: createFakeClock() });
    queue.add('a');
    queue.add('a');
    assert.equal(calls, 1);
    queue.take();
    queue.add('a');
    assert.equal(calls, 1);
    queue.done('a');
    assert.equal(calls, 2);
  });

  for (const { delays, ready } of [
    { delays: [30, 10, 20], ready: [10] },
    { delays: [10, 30], ready: [10] },
    { delays: [10, Number.POSITIVE_INFINITY], ready: [10] },
    { delays: [10, 0], ready: [0, 10] },
    { delays: [10, -5], ready: [0, 10] },
  ])
    it(`makes a key with the delays ${delays.join(', ')} ready at ${ready.join(' and ')} ms`, async () => {
      const { queue, readyTimes } = harness();
      for (const delay of delays) queue.addAfter('a', delay);
      assert.deepEqual(await readyTimes(50), ready);
    });

  it('keeps the date of a key that is added at once meanwhile', async () => {
    const { queue, readyTimes } = harness();
    queue.addAfter('a', 10);
    queue.add('a');
    assert.deepEqual(await readyTimes(50), [0, 10]);
  });

  it('drops the date of an unscheduled key', async () => {
    const { clock, queue } = harness();
    queue.addAfter('a', 10);
    queue.unschedule('a');
    await clock.advance(20);
    assert.equal(queue.take(), undefined);
    assert.equal(clock.timers, 0);
  });

  it('reaches a date beyond the longest timer of Node', async () => {
    const fake = createFakeClock();
    const delays: number[] = [];
    const clock: Clock = {
      ...fake,
      after(ms, call) {
        delays.push(ms);
        return fake.after(ms, call);
      },
    };
    const queue = new WorkQueue({ onReady: () => undefined, clock });
    queue.addAfter('a', 2 ** 33);
    await fake.advance(2 ** 33 - 1);
    assert.equal(queue.take(), undefined);
    await fake.advance(1);
    assert.equal(queue.take(), 'a');
    assert.ok(
      delays.every((ms) => ms < 2 ** 31),
      delays.join(' '),
    );
  });

  it('waits for the rest when a timer fires early', async () => {
    const fake = createFakeClock();
    const clock: Clock = { ...fake, after: (ms, call) => fake.after(Math.max(1, ms - 0.5), call) };
    const queue = new WorkQueue({ onReady: () => undefined, clock });
    queue.addAfter('a', 10);
    await fake.advance(9.5);
    assert.equal(queue.take(), undefined);
    await fake.advance(1);
    assert.equal(queue.take(), 'a');
  });

  it('lengthens the back-off of a key up to its maximum until it is forgotten', () => {
    const { queue } = harness({ backoffMs: [100, 800] });
    const delays = Array.from({ length: 6 }, () => queue.addRateLimited('a'));
    for (const [index, delay] of delays.entries()) {
      const whole = Math.min(800, 100 * 2 ** index);
      assert.ok(delay >= whole / 2 && delay <= whole, `${index}: ${delay}`);
    }
    assert.ok(queue.addRateLimited('b') <= 100, 'the back-off of another key');
    queue.forget('a');
    assert.ok(queue.addRateLimited('a') <= 100);
  });

  it('makes a key ready when its adds pause for quietMs', async () => {
    const { clock, queue, readyTimes } = harness({ debounce: { quietMs: 10, maxMs: 100 } });
    queue.add('a');
    await clock.advance(6);
    queue.add('a');
    assert.deepEqual(await readyTimes(50), [16]);
  });

  it('makes a key ready maxMs after its first add when its adds never pause', async () => {
    const { clock, queue, drain } = harness({ debounce: { quietMs: 10, maxMs: 25 } });
    const times: number[] = [];
    for (let time = 0; time < 55; time += 1) {
      if (drain().length > 0) times.push(time);
      queue.add('a');
      await clock.advance(1);
    }
    assert.deepEqual(times, [25, 50]);
  });

  it('debounces each key by itself', async () => {
    const { clock, queue, drain } = harness({ debounce: { quietMs: 10, maxMs: 100 } });
    queue.add('a');
    await clock.advance(5);
    queue.add('b');
    await clock.advance(5);
    assert.deepEqual(drain(), ['a']);
    await clock.advance(5);
    assert.deepEqual(drain(), ['b']);
  });

  it('ends the debounce of a key that becomes ready by its date', async () => {
    const { clock, queue, readyTimes } = harness({ debounce: { quietMs: 10, maxMs: 100 } });
    queue.addAfter('a', 5);
    await clock.advance(1);
    queue.add('a');
    assert.deepEqual(await readyTimes(50), [5]);
  });

  it('debounces an add that comes under work', async () => {
    const { clock, queue } = harness({ debounce: { quietMs: 10, maxMs: 100 } });
    queue.addAfter('a', 0);
    queue.take();
    queue.add('a');
    queue.done('a');
    assert.equal(queue.take(), undefined);
    await clock.advance(10);
    assert.equal(queue.take(), 'a');
  });

  it('drops everything that waits when it is stopped, and takes nothing more', async () => {
    const { clock, queue } = harness({ debounce: { quietMs: 10, maxMs: 100 } });
    queue.addAfter('active', 0);
    assert.equal(queue.take(), 'active');
    queue.addAfter('active', 0);
    queue.add('debouncing');
    queue.addAfter('scheduled', 5);
    queue.addAfter('ready', 0);
    queue.stop();
    queue.add('late');
    queue.addAfter('late', 0);
    queue.done('active');
    await clock.advance(1000);
    assert.equal(queue.take(), undefined);
    assert.equal(clock.timers, 0);
  });

  it('never gives an active key and loses no add, whatever the order of calls', async () => {
    const key = fc.constantFrom('a', 'b', 'c');
    const command = fc.oneof(
      fc.record({ do: fc.constant('add' as const), key }),
      fc.record({ do: fc.constant('addAfter' as const), key, ms: fc.integer({ min: 0, max: 50 }) }),
      fc.record({ do: fc.constant('retry' as const), key }),
      fc.record({ do: fc.constant('take' as const) }),
      fc.record({ do: fc.constant('done' as const), key }),
      fc.record({ do: fc.constant('advance' as const), ms: fc.integer({ min: 0, max: 30 }) }),
    );
    const debounce = fc.option(fc.constant({ quietMs: 5, maxMs: 12 }), { nil: undefined });
    await fc.assert(
      fc.asyncProperty(fc.array(command, { maxLength: 60 }), debounce, async (commands, debounced) => {
        const { clock, queue } = harness({ debounce: debounced, backoffMs: [1, 20] });
        const active = new Set<string>();
        /** Keys that were added since their last work began. */
        const added = new Set<string>();
        /** The earliest date of each key, until it has come. */
        const dates = new Map<string, number>();
        const settleDates = () => {
          for (const [each, date] of dates)
            if (date <= clock.now()) {
              dates.delete(each);
              added.add(each);
            }
        };
        const addDate = (each: string, inMs: number) => {
          if (inMs === 0) added.add(each);
          else dates.set(each, Math.min(dates.get(each) ?? Number.POSITIVE_INFINITY, clock.now() + inMs));
        };
        const take = () => {
          const taken = queue.take();
          if (taken === undefined) return false;
          assert.ok(!active.has(taken), `${taken} is active already`);
          active.add(taken);
          assert.ok(added.delete(taken), `${taken} is given although nothing is to do`);
          return true;
        };
        for (const each of commands) {
          if (each.do === 'add') {
            queue.add(each.key);
            added.add(each.key);
          } else if (each.do === 'addAfter') {
            queue.addAfter(each.key, each.ms);
            addDate(each.key, each.ms);
          } else if (each.do === 'retry') addDate(each.key, queue.addRateLimited(each.key));
          else if (each.do === 'take') take();
          else if (each.do === 'done') {
            queue.done(each.key);
            active.delete(each.key);
          } else {
            await clock.advance(each.ms);
            settleDates();
          }
        }
        for (let round = 0; round < 3; round += 1) {
          await clock.advance(100);
          settleDates();
          while (take());
          for (const each of active) queue.done(each);
          active.clear();
        }
        assert.deepEqual([...added, ...dates.keys()], []);
        assert.equal(clock.timers, 0);
      }),
      { numRuns: 300 },
    );
  });

  it('reports depth, adds, retries and durations', async () => {
    const calls: string[] = [];
    const { clock, queue } = harness({
      metrics: {
        depth: (keys) => calls.push(`depth ${keys}`),
        added: () => calls.push('added'),
        taken: (seconds) => calls.push(`waited ${seconds}`),
        worked: (seconds) => calls.push(`worked ${seconds}`),
        retried: () => calls.push('retried'),
      },
    });
    queue.add('a');
    queue.add('a');
    await clock.advance(2000);
    queue.take();
    queue.addAfter('a', 1000);
    await clock.advance(3000);
    queue.done('a');
    queue.take();
    assert.deepEqual(calls, ['added', 'depth 1', 'waited 2', 'depth 0', 'retried', 'added', 'depth 1', 'worked 3', 'waited 2', 'depth 0']);
  });
});
