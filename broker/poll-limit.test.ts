import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import fc from 'fast-check';
import type { PollLimit } from './poll-limit.ts';
import { createPollLimit } from './poll-limit.ts';

describe('poll limit', () => {
  let polls: PollLimit;
  let ended: string[];
  let count: number;
  const enter = (name: string) => polls.enter(name.charAt(0), () => ended.push(name));
  beforeEach(() => {
    ended = [];
    count = 0;
    const onEnded = () => {
      count += 1;
    };
    polls = createPollLimit({ perPod: 2, total: 5, onEnded });
  });

  it('ends the oldest poll of a pod that has too many', () => {
    for (const name of ['a1', 'b1', 'a2', 'a3']) enter(name);
    assert.deepEqual([ended, count], [['a1'], 1]);
  });

  it('counts no poll that has left', () => {
    const leave = enter('a1');
    enter('a2');
    leave();
    leave();
    enter('a3');
    assert.deepEqual(ended, []);
  });

  it('counts each pod once, until its last poll has left', () => {
    const leave = ['a1', 'a2', 'b1'].map(enter);
    assert.equal(polls.pods, 2);
    leave[0]?.();
    assert.equal(polls.pods, 2);
    leave[1]?.();
    assert.equal(polls.pods, 1);
  });

  it('ends the oldest poll of all when there are too many', () => {
    for (const name of ['a1', 'a2', 'b1', 'b2', 'c1', 'd1', 'd2']) enter(name);
    assert.deepEqual(ended, ['a1', 'a2']);
  });

  it('keeps its bounds, whoever comes and leaves', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'), fc.boolean()), { maxLength: 60 }), (steps) => {
        const open = new Map<string, () => void>();
        const limit = createPollLimit({ perPod: 2, total: 5, onEnded: () => undefined });
        for (const [index, [pod, leaves]] of steps.entries()) {
          const name = `${pod}${index}`;
          if (leaves) {
            const [oldest] = open;
            oldest?.[1]();
            open.delete(oldest?.[0] ?? '');
          } else
            open.set(
              name,
              limit.enter(pod, () => open.delete(name)),
            );
          assert.ok(open.size <= 5);
          assert.ok([...open.keys()].filter((each) => each.startsWith(pod)).length <= 2);
          if (!leaves) assert.ok(open.has(name), 'the newest poll stays');
        }
      }),
    );
  });
});
