import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { createAcceptQueue } from './accept-queue.ts';

const wide = { maxWaiting: 100, maxWaitingPerSource: 100 };
const anySource = () => true;
/** Sockets are texts; the source of one is its first letter. */
const fill = (limits: typeof wide, ...sockets: string[]) => {
  const queue = createAcceptQueue<string>(limits);
  const dropped = sockets.flatMap((socket, index) => {
    const out = queue.add(socket, socket.charAt(0), index);
    queue.ready(socket);
    return out;
  });
  return { queue, dropped };
};
const drain = ({ take }: ReturnType<typeof fill>['queue'], hasRoom: (source: string) => boolean = anySource) => {
  const all: string[] = [];
  for (let next = take(hasRoom); next !== undefined; next = take(hasRoom)) all.push(next.socket);
  return all;
};

describe('accept queue', () => {
  it('takes the newest socket of each source in turn', () => {
    const { queue } = fill(wide, 'a1', 'a2', 'a3', 'b1', 'b2', 'c1');
    assert.deepEqual(drain(queue), ['a3', 'b2', 'c1', 'a2', 'b1', 'a1']);
    assert.equal(queue.size, 0);
  });

  it('takes no socket before its ClientHello is complete', () => {
    const queue = createAcceptQueue<string>(wide);
    queue.add('a1', 'a', 0);
    assert.equal(queue.take(anySource), undefined);
    queue.ready('a1');
    assert.deepEqual(queue.take(anySource), { socket: 'a1', source: 'a' });
  });

  it('passes over a source that has no room', () => {
    const { queue } = fill(wide, 'a1', 'b1', 'b2');
    assert.deepEqual(
      drain(queue, (source) => source === 'b'),
      ['b2', 'b1'],
    );
    assert.deepEqual(drain(queue), ['a1']);
  });

  it('drops the oldest socket of a source that has too many', () => {
    const { queue, dropped } = fill({ maxWaiting: 100, maxWaitingPerSource: 2 }, 'a1', 'a2', 'b1', 'a3');
    assert.deepEqual(dropped, ['a1']);
    assert.deepEqual(drain(queue), ['a3', 'b1', 'a2']);
  });

  it('drops a socket of the source that has the most when it is full', () => {
    const { queue, dropped } = fill({ maxWaiting: 4, maxWaitingPerSource: 4 }, 'a1', 'a2', 'a3', 'b1', 'c1', 'd1');
    assert.deepEqual(dropped, ['a1', 'a2']);
    assert.deepEqual(drain(queue), ['a3', 'b1', 'c1', 'd1']);
  });

  it('expires the sockets that were added before a time', () => {
    const { queue } = fill(wide, 'a0', 'b1', 'a2');
    assert.deepEqual(queue.expire(2), ['a0', 'b1']);
    assert.deepEqual(drain(queue), ['a2']);
  });

  it('forgets a socket whose client left', () => {
    const { queue } = fill(wide, 'a1', 'a2');
    queue.remove('a2');
    queue.remove('a2');
    queue.ready('a2');
    assert.deepEqual(drain(queue), ['a1']);
  });

  it('keeps its bounds, and a flood of one source costs the others nothing', () => {
    const limits = { maxWaiting: 20, maxWaitingPerSource: 10 };
    fc.assert(
      fc.property(fc.array(fc.constantFrom('a', 'a', 'a', 'a', 'b', 'c'), { maxLength: 200 }), (arrivals) => {
        const queue = createAcceptQueue<string>(limits);
        const waiting = new Set<string>();
        const count = (source: string) => [...waiting].filter((socket) => socket.startsWith(source)).length;
        for (const [index, source] of arrivals.entries()) {
          const before = { b: count('b'), c: count('c') };
          waiting.add(`${source}${index}`);
          for (const dropped of queue.add(`${source}${index}`, source, index)) waiting.delete(dropped);
          assert.equal(queue.size, waiting.size);
          assert.ok(queue.size <= limits.maxWaiting && count(source) <= limits.maxWaitingPerSource);
          if (source === 'a') for (const other of ['b', 'c'] as const) assert.ok(count(other) >= Math.min(before[other], 6));
        }
      }),
    );
  });
});
