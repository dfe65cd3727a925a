import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createWorkQueue } from './old-work-queue.ts';

const refuse = (key: string, error: unknown) => assert.fail(`${key}: ${String(error)}`);

describe('old work queue', () => {
  it('never works on one key twice at a time and does it once more when asked meanwhile', async () => {
    let active = 0;
    let runs = 0;
    const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const started = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const queue = createWorkQueue({
      concurrency: 5,
      async work() {
        const run = runs++;
        active += 1;
        assert.equal(active, 1);
        started[run]?.resolve();
        await gates[run]?.promise;
        active -= 1;
      },
      onError: refuse,
    });
    queue.add('a');
    queue.add('a');
    await started[0]?.promise;
    for (let times = 0; times < 5; times += 1) queue.add('a');
    gates[0]?.resolve();
    await started[1]?.promise;
    gates[1]?.resolve();
    await queue.stop();
    assert.equal(runs, 2);
  });

  it('keeps to its concurrency and leaves no key out', async () => {
    let active = 0;
    let most = 0;
    const done = new Set<string>();
    const finished = Promise.withResolvers<void>();
    const queue = createWorkQueue({
      concurrency: 3,
      async work(key) {
        active += 1;
        most = Math.max(most, active);
        await new Promise((resolve) => setImmediate(resolve));
        active -= 1;
        done.add(key);
        if (done.size === 20) finished.resolve();
      },
      onError: refuse,
    });
    for (let key = 0; key < 20; key += 1) queue.add(String(key));
    await finished.promise;
    await queue.stop();
    assert.equal(most, 3);
  });

  it('retries what failed until it succeeds', async () => {
    let runs = 0;
    const errors: unknown[] = [];
    const finished = Promise.withResolvers<void>();
    const queue = createWorkQueue({
      concurrency: 1,
      async work() {
        runs += 1;
        if (runs < 4) throw new Error(`try ${runs}`);
        finished.resolve();
      },
      onError: (_key, error) => errors.push(error),
      retryMs: [1, 2],
    });
    queue.add('a');
    await finished.promise;
    await queue.stop();
    assert.equal(errors.length, 3);
  });

  it('stops with nothing left to run', async () => {
    let runs = 0;
    const count = () => {
      runs += 1;
    };
    const queue = createWorkQueue({ concurrency: 1, work: async () => count(), onError: refuse });
    queue.addAfter('a', 1);
    await queue.stop();
    queue.add('b');
    await new Promise((resolve) => setTimeout(resolve, 5));
    assert.equal(runs, 0);
  });
});
