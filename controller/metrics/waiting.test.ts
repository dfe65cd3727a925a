import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createFakeClock } from '../../common/testing/fake-clock.ts';
import type { Assignment } from '../../lib/identities/assignment.ts';
import { assignment, binding, identity, pod } from '../../lib/identities/testing/fixtures.ts';
import { fakeInformer } from '../../lib/identities/testing/informers.ts';
import { watchWaiting } from './waiting.ts';

const minute = 60_000;
const prefix = 'aadpodidentity.k8s.io/';
const made = assignment(pod(), identity('app/i'), binding('app/b', 'i'));

interface State {
  status?: string;
  annotations?: Record<string, string>;
  createdAt?: number;
  podUid?: string;
  deletionTimestamp?: string;
}

const object = ({ status = 'Created', annotations = {}, createdAt = 0, podUid = 'u1', deletionTimestamp }: State = {}): Assignment => ({
  ...made,
  status,
  podUid,
  metadata: {
    ...made.metadata,
    creationTimestamp: new Date(createdAt).toISOString(),
    annotations: Object.fromEntries(Object.entries(annotations).map(([name, value]) => [prefix + name, value])),
    ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }),
  },
});

function setUp() {
  const clock = createFakeClock(0);
  const informer = fakeInformer<Assignment>();
  const waiting = watchWaiting(informer, clock);
  clock.jump(10 * minute);
  return { clock, put: informer.put, remove: informer.remove, oldest: () => Object.fromEntries(waiting.oldest()) };
}

describe('watchWaiting', () => {
  it('gives the age of the oldest waiting object of each reason', () => {
    const { put, oldest } = setUp();
    put('a', object({ createdAt: minute }));
    put('b', object({ createdAt: 2 * minute }));
    put('c', object({ createdAt: 4 * minute, annotations: { reason: 'Throttled' } }));
    put('d', object({ status: 'Assigned' }));
    assert.deepEqual(oldest(), { none: 540, Throttled: 360 });
  });

  it('forgets an object that is assigned, deleted or gone', () => {
    const { put, remove, oldest } = setUp();
    for (const key of ['a', 'b', 'c']) put(key, object());
    put('a', object({ status: 'Assigned' }));
    put('b', object({ deletionTimestamp: 'now' }));
    remove('c');
    assert.deepEqual(oldest(), {});
  });

  it('counts from the loss for an object that was assigned before', () => {
    const { clock, put, oldest } = setUp();
    put('a', object({ status: 'Assigned' }));
    put('a', object());
    put('b', object({ annotations: { 'assigned-at': 'before this replica started', reason: 'AzureError' } }));
    clock.jump(minute);
    assert.deepEqual(oldest(), { none: 60, AzureError: 60 });
  });

  it('counts anew when a pod of the same name takes the object', () => {
    const { clock, put, oldest } = setUp();
    put('a', object());
    put('a', object({ podUid: 'u2' }));
    clock.jump(minute);
    assert.deepEqual(oldest(), { none: 60 });
  });

  it('makes one series of reasons that nobody knows', () => {
    const { put, oldest } = setUp();
    for (let index = 0; index < 20; index += 1) put(`a${index}`, object({ annotations: { reason: `made-up-${index}` } }));
    assert.deepEqual(Object.keys(oldest()), ['other']);
  });
});
