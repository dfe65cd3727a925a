import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createFairLock } from './fair-lock.ts';

test('gives the lock to one at a time, and to groups in turn', async () => {
  const lock = createFairLock();
  const order: string[] = [];
  let holders = 0;
  const hold = async (name: string) => {
    const release = await lock.acquire(name.charAt(0));
    holders += 1;
    assert.equal(holders, 1);
    order.push(name);
    await Promise.resolve();
    holders -= 1;
    release();
    release();
  };
  await Promise.all(['a1', 'a2', 'a3', 'b1'].map(hold));
  assert.deepEqual(order, ['a1', 'a2', 'b1', 'a3']);
  await hold('c1');
});
