// When a scope is reconciled, read and written again, on a clock of the test.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Need } from '../../lib/identities/need.ts';
import { ArmError } from '../azure/arm/errors.ts';
import { emptyRecord, withChanges } from './ownership.ts';
import { scopeHarness } from './testing/harness.ts';
import { fakeAzure, fakeRecords, idOf, need, testScope } from './testing/scope.ts';

const intended = () => fakeRecords(withChanges(emptyRecord(testScope.id), [[idOf('never-attached'), 'intent']], new Date(0)));

describe('scope reconciler over time', () => {
  it('requeues an idle scope after a whole interval, also once its GET is old', async () => {
    const { at } = scopeHarness({ needs: [], records: intended() });
    for (const time of [0, 1_000]) assert.ok((await at(time)) >= 59_000, `at ${time}`);
  });

  it('reads once in a twentieth of the interval when sidecars report mismatches', async () => {
    const { at, azure, refresh } = scopeHarness({ needs: [need('web', 'i')] });
    await at(0);
    const afterWrite = azure.reads;
    azure.list.clear();
    refresh();
    assert.equal(await at(1_000), 2_000);
    assert.equal(azure.reads, afterWrite);
    for (const _ of [1, 2, 3]) refresh();
    await at(3_000);
    assert.deepEqual(azure.names(), ['i']);
    assert.equal(azure.writes.length, 2);
    assert.equal(azure.reads, afterWrite + 2);
  });

  it('answers a report by the next GET where the first one after it failed', async () => {
    const { at, azure, refresh } = scopeHarness({ needs: [need('web', 'i')] });
    await at(0);
    azure.list.clear();
    refresh();
    azure.onRead.push(() => {
      throw new ArmError({ code: 'transient', retryAfterSeconds: 1 }, 'oops');
    });
    assert.equal(await at(3_000), 1_000);
    await at(4_000);
    assert.deepEqual(azure.names(), ['i']);
  });

  it('retries the API server soon while Azure is blocked, without unblocking Azure', async () => {
    const { at, add, azure, objects, refresh, statusOf } = scopeHarness({
      needs: [need('web', 'i')],
      options: { intervalMs: 3_600_000 },
    });
    await at(0);
    azure.onRead.push(() => {
      throw new ArmError({ code: 'denyAssignment' }, 'locked');
    });
    refresh();
    assert.equal(await at(200_000), 600_000);
    const { reads } = azure;
    const late = add(need('late', 'i'));
    const { updateStatus } = objects.statuses;
    objects.statuses.updateStatus = async () => {
      throw new Error('socket hang up');
    };
    assert.equal(await at(210_000), 5_000);
    objects.statuses.updateStatus = updateStatus;
    assert.equal(await at(215_000), 585_000);
    assert.equal(statusOf(late), 'Assigned');
    refresh();
    await at(799_000);
    assert.equal(azure.reads, reads);
    await at(800_000);
    assert.equal(azure.reads, reads + 1);
  });

  it('reads a paused scope once in an interval, and its pods use what that showed', async () => {
    const waiting = need('web', 'i');
    const needs: Need[] = [waiting];
    const records = fakeRecords({ ...emptyRecord(testScope.id), paused: true });
    const { at, add, azure, reasonOf, statusOf } = scopeHarness({ needs, azure: fakeAzure(['there']), records });
    for (const time of [0, 1_000, 2_000, 59_000]) await at(time);
    assert.equal(azure.reads, 1);
    const late = add(need('late', 'there'));
    assert.equal(await at(59_500), 500);
    assert.deepEqual([statusOf(late), reasonOf(waiting)], ['Assigned', 'ScopePaused']);
    await at(60_000);
    assert.equal(azure.reads, 2);
    assert.deepEqual(azure.writes, []);
  });

  it('counts a paused scope until the pause ends', async () => {
    const records = fakeRecords({ ...emptyRecord(testScope.id), paused: true });
    const { at, reconciler } = scopeHarness({ needs: [need('web', 'i')], records });
    await at(0);
    assert.equal(reconciler.count().paused, 1);
    records.edit((record) => ({ ...record, paused: false }));
    await at(5_000);
    assert.equal(reconciler.count().paused, 0);
  });

  it('forgets a scope that no pod needs and Azure no longer knows after one interval', async () => {
    const azure = fakeAzure();
    azure.compute.read = async () => {
      throw new ArmError({ code: 'notFound' }, 'gone');
    };
    const { at, records } = scopeHarness({ needs: [], azure, records: intended() });
    assert.equal(await at(0), 60_000);
    assert.equal(await at(60_000), Number.POSITIVE_INFINITY);
    assert.deepEqual(records.states(), {});
    assert.deepEqual(azure.writes, []);
  });

  for (const paused of [false, true])
    it(`forgets an idle scope without a GET, and ${paused ? 'keeps a paused record' : 'removes its record'}`, async () => {
      const records = fakeRecords({ ...emptyRecord(testScope.id), paused });
      let removed = false;
      const { remove } = records.store;
      records.store.remove = async (stored) => {
        removed = true;
        await remove(stored);
      };
      const { at, azure } = scopeHarness({ needs: [], records });
      await at(0);
      assert.equal(await at(60_000), Number.POSITIVE_INFINITY);
      assert.equal(removed, !paused);
      assert.equal(azure.reads, 0);
    });
});
