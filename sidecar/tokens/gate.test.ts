// The VM's budget of 5 concurrent requests is shared by all pods: one at a time, two after a success.
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { createGate } from './gate.ts';

const tick = () => new Promise<void>((resolve) => setImmediate(resolve));

it('admits one, two after a success, one again after a failure, in order', async () => {
  const gate = createGate();
  const { signal } = new AbortController();
  const inside: number[] = [];
  const leave: ((success: boolean) => void)[] = [];
  for (let i = 0; i < 6; i += 1) {
    void gate.enter(signal).then((exit) => {
      inside.push(i);
      if (exit !== undefined) leave.push(exit);
    });
  }
  await tick();
  assert.deepEqual(inside, [0]);
  leave[0]?.(true);
  await tick();
  assert.deepEqual(inside, [0, 1, 2]);
  leave[1]?.(false);
  await tick();
  assert.deepEqual(inside, [0, 1, 2], 'back to one at a time');
  leave[2]?.(true);
  await tick();
  assert.deepEqual(inside, [0, 1, 2, 3, 4]);
});

it('lets who gives up leave the queue', async () => {
  const gate = createGate();
  const leave = await gate.enter(new AbortController().signal);
  const impatient = new AbortController();
  const second = gate.enter(impatient.signal);
  const third = gate.enter(new AbortController().signal);
  impatient.abort();
  assert.equal(await second, undefined);
  leave?.(false);
  assert.notEqual(await third, undefined);
});
