import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createFakeClock } from '../common/testing/fake-clock.ts';
import { createNotifier, nextNotification } from './notifier.ts';

test('notifies each subscriber once, and none that has unsubscribed', () => {
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
  const subscribed = { count: 0 };
  const first = createNotifier();
  const second = createNotifier();
  const controller = new AbortController();
  const counted = [first, second].map((notifier) => ({
    ...notifier,
    subscribe(listener: () => void) {
      subscribed.count += 1;
      const unsubscribe = notifier.subscribe(listener);
      return () => {
        subscribed.count -= 1;
        unsubscribe();
      };
    },
  }));
  const waiting = nextNotification(counted, { clock, ms: 1000, signal: controller.signal });
  return { clock, second, controller, subscribed, waiting };
}

for (const [name, wake] of [
  ['the time is over', ({ clock }) => clock.advance(1000)],
  ['any notifier notifies', ({ second }) => second.notify()],
  ['the signal aborts', ({ controller }) => controller.abort()],
] satisfies [string, (harness: ReturnType<typeof createHarness>) => unknown][]) {
  test(`stops waiting for a notification when ${name}, and leaves nothing behind`, async () => {
    const harness = createHarness();
    await wake(harness);
    await harness.waiting;
    assert.equal(harness.clock.timers, 0);
    assert.equal(harness.subscribed.count, 0);
  });
}

test('does not wait for a notification when the signal is aborted already', async () => {
  const clock = createFakeClock();
  await nextNotification([createNotifier()], { clock, ms: 1000, signal: AbortSignal.abort() });
  assert.equal(clock.timers, 0);
});
