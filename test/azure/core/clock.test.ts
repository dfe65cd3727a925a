import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createClock } from './clock.ts';

test('moves only when advanced while frozen, and wakes the sleepers that are due', async () => {
  const clock = createClock(() => 1000);
  clock.freeze();
  const woken: number[] = [];
  const sleepers = [10, 20, 30].map((ms) => clock.sleep(ms).then(() => woken.push(ms)));
  clock.advance(20);
  await Promise.all(sleepers.slice(0, 2));
  assert.deepEqual([clock.now(), woken], [1020, [10, 20]]);
  clock.stop();
  await Promise.all(sleepers);
  assert.deepEqual(woken, [10, 20, 30]);
});

test("follows the machine's time from where it was advanced or frozen", () => {
  let machine = 1000;
  const clock = createClock(() => machine);
  clock.advance(500);
  machine += 100;
  assert.equal(clock.now(), 1600);
  clock.freeze();
  machine += 100;
  assert.equal(clock.now(), 1600);
  clock.run();
  machine += 5;
  assert.equal(clock.now(), 1605);
  clock.advance(-600);
  assert.equal(clock.now(), 1005);
});

test('wakes a sleeper at once when its caller aborts, and all after a stop', async () => {
  const clock = createClock();
  const gone = new AbortController();
  const asleep = clock.sleep(1e9, gone.signal);
  gone.abort();
  await asleep;
  await clock.sleep(1e9, gone.signal);
  const last = clock.sleep(1e9);
  clock.stop();
  await last;
  await clock.sleep(1e9);
});
