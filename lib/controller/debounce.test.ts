import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { collectCalls } from './debounce.ts';

describe('collecting calls', () => {
  it('makes one run of a burst, and at the latest after the longest wait', async () => {
    let runs = 0;
    let ran = Promise.withResolvers<void>();
    const collector = collectCalls({
      quietMs: 20,
      maxMs: 60,
      async run() {
        runs += 1;
        ran.resolve();
      },
    });
    for (let call = 0; call < 10; call += 1) collector.call();
    await ran.promise;
    assert.equal(runs, 1);
    // Calls that never pause: the longest wait ends them.
    ran = Promise.withResolvers();
    const busy = setInterval(() => collector.call(), 1);
    await ran.promise;
    clearInterval(busy);
    await collector.stop();
  });

  it('keeps what comes during a run for the next one, and never runs two at a time', async () => {
    let active = 0;
    const runs = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    let count = 0;
    const gate = Promise.withResolvers<void>();
    const collector = collectCalls({
      quietMs: 1,
      maxMs: 5,
      async run() {
        active += 1;
        assert.equal(active, 1);
        const run = count++;
        runs[run]?.resolve();
        if (run === 0) await gate.promise;
        active -= 1;
      },
    });
    collector.call();
    await runs[0]?.promise;
    collector.call();
    gate.resolve();
    await runs[1]?.promise;
    await collector.stop();
    assert.equal(count, 2);
  });

  it('runs nothing after its stop', async () => {
    const collector = collectCalls({ quietMs: 0, maxMs: 0, run: async () => assert.fail('it ran') });
    collector.call();
    await collector.stop();
    collector.call();
  });
});
