import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import type { Turns } from './turns.ts';
import { createTurns } from './turns.ts';

describe('turns', () => {
  let now: number;
  let timers: { at: number; call: () => void }[];
  let turns: Turns;
  let order: string[];

  beforeEach(() => {
    [now, timers, order] = [0, [], []];
    turns = createTurns(
      {
        now: () => now,
        after(ms, call) {
          const timer = { at: now + ms, call };
          timers.push(timer);
          return () => {
            timers = timers.filter((each) => each !== timer);
          };
        },
      },
      () => now,
    );
  });
  const use = async (source: string, ms: number, bytes = 1024 * 1024) => {
    await turns.take(source, bytes);
    order.push(source);
    now += ms;
  };
  const settle = async () => {
    for (let index = 0; index < 10; index += 1) await new Promise((resolve) => setImmediate(resolve));
  };

  afterEach(settle);

  it('come one in each turn of the event loop', async () => {
    void use('a', 0);
    void use('a', 0);
    await Promise.resolve().then(() => {});
    assert.deepEqual(order, ['a']);
    await settle();
    assert.deepEqual(order, ['a', 'a']);
  });

  it('let a few small bodies of a source go together, but none beside a large one', async () => {
    const perTurn: number[] = [];
    const small = 4096;
    for (const bytes of [small, small, small, 1024 * 1024, ...Array.from({ length: 5 }, () => small)]) void use('a', 0, bytes);
    for (let seen = 0; seen < 9; seen = order.length) {
      await new Promise((resolve) => setImmediate(resolve));
      if (order.length > seen) perTurn.push(order.length - seen);
    }
    // The first one does not wait for a turn.
    assert.deepEqual(perTurn, [1 + 2, 1, 4, 1]);
  });

  it('go to the source that has used least time', async () => {
    const all = [...Array.from({ length: 3 }, () => use('slow', 40)), ...Array.from({ length: 5 }, () => use('quick', 10))];
    await Promise.all(all);
    assert.deepEqual(order, ['slow', 'quick', 'quick', 'quick', 'quick', 'slow', 'quick', 'slow']);
  });

  it('let no source save up time', async () => {
    await use('quick', 0);
    const slow = Array.from({ length: 10 }, () => use('slow', 40));
    await Promise.all(slow.slice(0, 6));
    await Promise.all([...Array.from({ length: 4 }, () => use('quick', 40)), ...slow]);
    assert.ok(order.lastIndexOf('quick') > order.indexOf('slow', 8), order.join());
  });

  it('let a source rest after a long one, and others go meanwhile', async () => {
    void use('slow', 1000);
    void use('slow', 0);
    await settle();
    assert.deepEqual(order, ['slow']);
    await use('quick', 0);
    await settle();
    assert.deepEqual(order, ['slow', 'quick']);
    assert.deepEqual(
      timers.map(({ at }) => at),
      [2000],
    );
    now = 2000;
    timers[0]?.call();
    await settle();
    assert.deepEqual(order, ['slow', 'quick', 'slow']);
  });
});
