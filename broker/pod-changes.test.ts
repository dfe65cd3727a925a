import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import type { FakeClock } from '../common/testing/fake-clock.ts';
import { createFakeClock } from '../common/testing/fake-clock.ts';
import type { PodChanges } from './pod-changes.ts';
import { createPodChanges } from './pod-changes.ts';

describe('pod changes', () => {
  let clock: FakeClock;
  let changes: PodChanges;
  let ended: string[];
  const wait = (podKey: string, signal = new AbortController().signal) =>
    void changes.wait(podKey, 1000, signal).then(() => ended.push(podKey));
  const settled = () => new Promise((resolve) => setImmediate(resolve));
  beforeEach(() => {
    clock = createFakeClock();
    changes = createPodChanges(clock);
    ended = [];
  });

  it('ends every wait for a pod when that pod changes, and no other', async () => {
    for (const podKey of ['a', 'a', 'b']) wait(podKey);
    changes.notify('a');
    await settled();
    assert.deepEqual([ended, changes.waiting, clock.timers], [['a', 'a'], 1, 1]);
  });

  it('ends a wait after its time', async () => {
    wait('a');
    await clock.advance(999);
    assert.deepEqual(ended, []);
    await clock.advance(1);
    assert.deepEqual([ended, changes.waiting], [['a'], 0]);
  });

  it('ends a wait when its signal aborts, also one that has aborted before', async () => {
    const leaving = new AbortController();
    wait('a', leaving.signal);
    leaving.abort();
    wait('b', leaving.signal);
    await settled();
    assert.deepEqual([ended.sort(), changes.waiting, clock.timers], [['a', 'b'], 0, 0]);
  });

  it('ends all waits at once', async () => {
    for (const podKey of ['a', 'b', 'c']) wait(podKey);
    changes.notifyAll();
    await settled();
    assert.deepEqual([ended.sort(), changes.waiting, clock.timers], [['a', 'b', 'c'], 0, 0]);
  });
});
