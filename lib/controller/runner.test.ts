import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Registry } from 'prom-client';
import { createFakeClock } from '../../common/testing/fake-clock.ts';
import { KubeError } from '../kube/errors.ts';
import { silentLogger } from '../log.ts';
import { createControllerMetrics } from './metrics.ts';
import type { Reconcile } from './reconcile.ts';
import type { RunnerOptions } from './runner.ts';
import { startRunner } from './runner.ts';

function harness(reconcile: Reconcile, options: Partial<RunnerOptions> = {}) {
  const clock = createFakeClock();
  const startMs = clock.now();
  const calls: string[] = [];
  const logged: { level: string; message: string; fields: Record<string, unknown> }[] = [];
  const logAs = (level: string) => (fields: Record<string, unknown>, message: string) => void logged.push({ level, message, fields });
  const registry = new Registry();
  const runner = startRunner({
    name: 'test',
    concurrency: 2,
    log: { ...silentLogger, warn: logAs('warn'), debug: logAs('debug') } as typeof silentLogger,
    metrics: createControllerMetrics(registry),
    clock,
    backoffMs: [100, 1000],
    ...options,
    reconcile(key, context) {
      calls.push(`${key} ${clock.now() - startMs}`);
      return reconcile(key, context);
    },
  });
  const count = async (name: string, labels: Record<string, string>) => {
    const metric = await registry.getSingleMetric(name)?.get();
    return metric?.values.find((each) => Object.entries(labels).every(([label, value]) => String(each.labels[label]) === value))?.value;
  };
  return { runner, clock, calls, logged, count };
}

const never = () => new Promise<never>(() => undefined);
/** Hangs until the runner stops, as a call to a server does. */
const untilStopped: Reconcile = (_key, { signal }) =>
  new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));

describe('runner', () => {
  it('reconciles a key once for a burst of changes, not on the stack of the caller', async () => {
    const { runner, clock, calls } = harness(async () => ({}));
    runner.enqueue('a');
    runner.enqueue('a');
    assert.deepEqual(calls, []);
    await clock.advance(0);
    assert.deepEqual(calls, ['a 0']);
    await runner.stop();
  });

  it('reconciles no more keys at a time than its concurrency', async () => {
    const release = Promise.withResolvers<object>();
    const { runner, clock, calls } = harness(() => release.promise);
    for (const key of ['a', 'b', 'c']) runner.enqueue(key);
    await clock.advance(0);
    assert.deepEqual(calls, ['a 0', 'b 0']);
    release.resolve({});
    await clock.advance(0);
    assert.deepEqual(calls, ['a 0', 'b 0', 'c 0']);
    await runner.stop();
  });

  it('reconciles all keys at a time when its concurrency is infinite', async () => {
    const { runner, clock, calls } = harness(untilStopped, { concurrency: Number.POSITIVE_INFINITY });
    for (let key = 0; key < 100; key += 1) runner.enqueue(String(key));
    await clock.advance(0);
    assert.equal(calls.length, 100);
    await runner.stop();
  });

  it('reconciles a key that changes under work once more afterwards', async () => {
    let release = Promise.withResolvers<object>();
    const { runner, clock, calls } = harness(() => release.promise);
    runner.enqueue('a');
    await clock.advance(0);
    runner.enqueue('a');
    runner.enqueue('a');
    await clock.advance(0);
    assert.equal(calls.length, 1);
    const first = release;
    release = Promise.withResolvers();
    release.resolve({});
    first.resolve({});
    await clock.advance(0);
    assert.equal(calls.length, 2);
    await runner.stop();
  });

  it('waits for the debounce after a change, but not after enqueueAfter', async () => {
    const { runner, clock, calls } = harness(async () => ({}), { debounce: { quietMs: 300, maxMs: 1000 } });
    runner.enqueue('a');
    runner.enqueueAfter('b', 100);
    await clock.advance(1000);
    assert.deepEqual(calls, ['b 100', 'a 300']);
    await runner.stop();
  });

  it('reconciles again after requeueAfterMs, and not at all after a result without it', async () => {
    const results = [{ requeueAfterMs: 5000 }, {}];
    const { runner, clock, calls } = harness(async () => results.shift() ?? {});
    runner.enqueue('a');
    await clock.advance(60_000);
    assert.deepEqual(calls, ['a 0', 'a 5000']);
    assert.equal(clock.timers, 0);
    await runner.stop();
  });

  it('drops the date of a key that is done', async () => {
    const results = [{ requeueAfterMs: 5000 }, { done: true }];
    const { runner, clock, calls } = harness(async () => results.shift() ?? {});
    runner.enqueue('a');
    await clock.advance(1000);
    runner.enqueue('a');
    await clock.advance(60_000);
    assert.deepEqual(calls, ['a 0', 'a 1000']);
    await runner.stop();
  });

  for (const [what, fail] of [
    ['throws synchronously', () => assert.fail('broken')],
    ['rejects with an Error', () => Promise.reject(new Error('broken'))],
    ['rejects with a string', () => Promise.reject('broken')],
    ['rejects with undefined', () => Promise.reject(undefined)],
  ] as [string, Reconcile][])
    it(`retries a key and works on others when the reconciler ${what}`, async () => {
      let failures = 2;
      const { runner, clock, calls, count } = harness(
        (key, context) => {
          if (key !== 'bad' || failures === 0) return Promise.resolve({});
          failures -= 1;
          return fail(key, context);
        },
        { concurrency: 1 },
      );
      runner.enqueue('bad');
      runner.enqueue('good');
      await clock.advance(0);
      assert.deepEqual(calls, ['bad 0', 'good 0']);
      await clock.advance(10_000);
      assert.equal(calls.length, 4);
      assert.equal(clock.timers, 0);
      assert.equal(await count('controller_runtime_reconcile_total', { result: 'error' }), 2);
      await runner.stop();
    });

  it('begins with the shortest back-off again after a success', async () => {
    const outcomes = ['bad', 'bad', 'bad', 'good', 'bad'];
    const { runner, clock, logged } = harness(async () => {
      const outcome = outcomes.shift() ?? 'good';
      if (outcome === 'bad') throw new Error(`${outcomes.length}`);
      return outcomes.length > 0 ? { requeueAfterMs: 1 } : {};
    });
    runner.enqueue('a');
    await clock.advance(60_000);
    const delays = logged.map(({ fields }) => Number(fields.retryMs));
    assert.equal(delays.length, 4);
    assert.ok(Number(delays[2]) >= 200, String(delays));
    assert.ok(Number(delays[3]) <= 100, String(delays));
    await runner.stop();
  });

  it('logs a failure with its key, and the same text once a minute', async () => {
    const { runner, clock, logged } = harness(async () => {
      throw new Error('no rule');
    });
    for (const key of ['a', 'b']) runner.enqueue(key);
    await clock.advance(59_000);
    assert.equal(logged.length, 1);
    const { level, message, fields } = logged[0] ?? assert.fail();
    assert.deepEqual([level, message], ['warn', 'reconcile failed']);
    assert.deepEqual({ ...fields, retryMs: 0 }, { controller: 'test', key: 'a', error: 'Error: no rule', retryMs: 0 });
    await clock.advance(3000);
    assert.equal(logged.length, 2);
    await runner.stop();
  });

  it('logs every error of an AggregateError', async () => {
    const { runner, clock, logged } = harness(async () => {
      throw new AggregateError([new Error('one'), new Error('two')]);
    });
    runner.enqueue('a');
    await clock.advance(0);
    assert.equal(logged[0]?.fields.error, 'Error: one; Error: two');
    await runner.stop();
  });

  const terminating = 'objects "o" is forbidden: unable to create new content in namespace n because it is being terminated';
  for (const [what, error] of [
    ['Conflict', new KubeError(409, 'Conflict', 'lost')],
    ['AlreadyExists', new KubeError(409, 'AlreadyExists', 'lost')],
    // https://github.com/kubernetes/kubernetes/issues/38612
    ['the end of its namespace', new KubeError(403, 'Forbidden', terminating)],
  ] as const)
    it(`retries after ${what} without a warning`, async () => {
      const errors = [error, new AggregateError([error])];
      const { runner, clock, calls, logged, count } = harness(async () => {
        const next = errors.shift();
        if (next !== undefined) throw next;
        return {};
      });
      runner.enqueue('a');
      await clock.advance(10_000);
      assert.equal(calls.length, 3);
      assert.deepEqual(
        logged.map(({ level }) => level),
        ['debug', 'debug'],
      );
      assert.equal(await count('controller_runtime_reconcile_total', { result: 'requeue' }), 2);
      await runner.stop();
    });

  it('counts results, durations and the work queue under the names of client-go', async () => {
    const results = [{ requeueAfterMs: 1000 }, {}];
    const { runner, clock, count } = harness(async () => {
      await new Promise<void>((resolve) => clock.after(2000, resolve));
      return results.shift() ?? {};
    });
    runner.enqueue('a');
    await clock.advance(60_000);
    for (const [name, labels, value] of [
      ['controller_runtime_reconcile_total', { controller: 'test', result: 'success' }, 1],
      ['controller_runtime_reconcile_total', { controller: 'test', result: 'requeue_after' }, 1],
      ['controller_runtime_reconcile_total', { controller: 'test', result: 'error' }, 0],
      ['controller_runtime_reconcile_time_seconds', { controller: 'test', le: '1.75' }, 0],
      ['controller_runtime_reconcile_time_seconds', { controller: 'test', le: '2' }, 2],
      ['workqueue_adds_total', { name: 'test' }, 2],
      ['workqueue_depth', { name: 'test' }, 0],
      ['workqueue_retries_total', { name: 'test' }, 1],
      ['workqueue_queue_duration_seconds', { name: 'test', le: '+Inf' }, 2],
      ['workqueue_work_duration_seconds', { name: 'test', le: '1' }, 0],
    ] as [string, Record<string, string>, number][])
      assert.equal(await count(name, labels), value, `${name} ${JSON.stringify(labels)}`);
    await runner.stop();
  });

  it('stops when the work under way ended, and drops what waits', async () => {
    const { runner, clock, calls, logged } = harness(untilStopped, { concurrency: 1 });
    runner.enqueue('active');
    await clock.advance(0);
    runner.enqueue('active');
    runner.enqueue('waiting');
    runner.enqueueAfter('scheduled', 1000);
    await runner.stop();
    runner.enqueue('late');
    await clock.advance(60_000);
    assert.deepEqual(calls, ['active 0']);
    assert.deepEqual(
      logged.map(({ message }) => message),
      ['reconcile aborted'],
    );
  });

  it('does not stop before the work under way ended', async () => {
    const release = Promise.withResolvers<object>();
    const { runner, clock } = harness(() => release.promise);
    runner.enqueue('a');
    await clock.advance(0);
    let stopped = false;
    const stop = runner.stop().then(() => {
      stopped = true;
    });
    await clock.advance(1000);
    assert.equal(stopped, false);
    release.resolve({});
    await stop;
  });

  it('goes on with other keys while one never ends', async () => {
    const { runner, clock, calls } = harness((key) => (key === 'hangs' ? never() : Promise.resolve({})));
    for (const key of ['hangs', 'a', 'b']) runner.enqueue(key);
    await clock.advance(0);
    assert.deepEqual(calls, ['hangs 0', 'a 0', 'b 0']);
  });
});
