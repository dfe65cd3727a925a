import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createFakeClock } from '../common/testing/fake-clock.ts';
import { createNotifier } from './notifier.ts';
import { sleep } from './sleep.ts';

for (const [name, wake] of [
  ['the time is over', ({ clock }) => clock.advance(1000)],
  ['a notifier notifies', ({ second }) => second.notify()],
  ['the signal aborts', ({ controller }) => controller.abort()],
] satisfies [string, (harness: ReturnType<typeof createHarness>) => unknown][]) {
  test(`wakes when ${name} and leaves nothing behind`, async () => {
    const harness = createHarness();
    await wake(harness);
    await harness.sleeping;
    assert.equal(harness.clock.timers, 0);
  });
}

test('does not sleep when the signal is aborted already', async () => {
  await sleep(createFakeClock(), 1000, { signal: AbortSignal.abort() });
});

test('notifies each subscriber once', () => {
  const notifier = createNotifier();
  const calls: string[] = [];
  notifier.subscribe(() => calls.push('a'));
  const unsubscribe = notifier.subscribe(() => calls.push('b'));
  unsubscribe();
  notifier.notify();
  notifier.notify();
  assert.deepEqual(calls, ['a']);
});

function createHarness() {
  const clock = createFakeClock();
  const second = createNotifier();
  const controller = new AbortController();
  const sleeping = sleep(clock, 1000, { notifiers: [createNotifier(), second], signal: controller.signal });
  return { clock, second, controller, sleeping };
}
