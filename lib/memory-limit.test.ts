import assert from 'node:assert/strict';
import { test } from 'node:test';
import { memoryLimitOf } from './memory-limit.ts';

test('takes the limit of the container, else the memory of the machine', () => {
  const machine = 16 * 2 ** 30;
  assert.equal(memoryLimitOf(256 * 2 ** 20, machine), 256 * 2 ** 20);
  for (const none of [0, 2 ** 64, 0x7ffffffffffff000, machine * 2]) assert.equal(memoryLimitOf(none, machine), machine);
});
