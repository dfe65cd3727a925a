import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { createFairQueue } from './fair-queue.ts';

function drain<T>(queue: { shift(): T | undefined }): T[] {
  const items: T[] = [];
  for (let item = queue.shift(); item !== undefined; item = queue.shift()) items.push(item);
  return items;
}

describe('fair queue', () => {
  it('takes one item of each group in turn, in the order of a group', () => {
    const queue = createFairQueue<string>(10);
    for (const item of ['a1', 'a2', 'a3', 'b1', 'c1', 'b2']) queue.push(item[0] ?? '', item);
    assert.deepEqual(drain(queue), ['a1', 'b1', 'c1', 'a2', 'b2', 'a3']);
  });

  it('knows where the newest item of a group stands', () => {
    const queue = createFairQueue<string>(10);
    for (const item of ['a1', 'a2', 'a3', 'a4', 'b1', 'c1', 'c2']) queue.push(item[0] ?? '', item);
    assert.deepEqual(['a', 'b', 'c', 'd'].map(queue.lastPositionOf), [7, 3, 5, 0]);
    assert.equal(drain(queue).indexOf('c2') + 1, 5);
  });

  it('drops the newest item of the longest group when it is full', () => {
    const queue = createFairQueue<string>(3);
    for (const item of ['a1', 'a2', 'a3']) assert.equal(queue.push('a', item), undefined);
    assert.equal(queue.push('a', 'a4'), 'a4');
    assert.equal(queue.push('b', 'b1'), 'a3');
    assert.equal(queue.push('c', 'c1'), 'a2');
    assert.equal(queue.size, 3);
    assert.equal(queue.push('d', 'd1'), 'd1', 'nobody has more than one');
    assert.deepEqual(drain(queue), ['a1', 'b1', 'c1']);
  });

  it('never holds more than its maximum and keeps what is within its share', () => {
    const pushes = fc.array(fc.constantFrom('flood', 'flood', 'flood', 'b', 'c'), { maxLength: 100 });
    fc.assert(
      fc.property(pushes, (groups) => {
        const queue = createFairQueue<string>(12);
        groups.forEach((group, index) => {
          queue.push(group, `${group} ${index}`);
        });
        const kept = drain(queue);
        assert.equal(kept.length, Math.min(12, groups.length));
        for (const group of ['flood', 'b', 'c']) {
          const pushed = groups.flatMap((each, index) => (each === group ? [`${group} ${index}`] : []));
          const left = kept.filter((item) => item.startsWith(group));
          assert.ok(left.length >= Math.min(4, pushed.length), 'a third of the queue is the share of each');
          assert.deepEqual(left.slice(0, 4), pushed.slice(0, Math.min(4, left.length)));
        }
      }),
    );
  });
});
