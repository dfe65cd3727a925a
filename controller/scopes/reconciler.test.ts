// Single passes over a scope on a clock of the test: when the next one is due, when Azure is looked at and written, where one stops.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Need } from '../../lib/identities/need.ts';
import { ArmError } from '../azure/arm/errors.ts';
import { emptyRecord, withEntries } from './ownership.ts';
import { passes } from './testing/reconciler.ts';
import { fakeAzure, fakeRecords, idOf, need, testScope } from './testing/scope.ts';

const recorded = (name: string, state: 'intent' | 'owned') =>
  fakeRecords(withEntries(emptyRecord(testScope.id), [[idOf(name), state]], new Date(0)));
const throttled = (retryAfterSeconds: number) =>
  new ArmError({ code: 'throttled', of: 'scope', source: 'header', retryAfterSeconds }, 'slow down');

describe('a pass over a scope', () => {
  it('rests for a whole interval where nothing is needed or recorded, also once its last look is old', async () => {
    const { at } = passes({ needs: [], records: recorded('never-attached', 'intent') });
    for (const time of [0, 1_000, 70_000, 200_000]) assert.ok((await at(time)) >= 59_000, `at ${time}`);
  });

  it('looks again when a sidecar doubts, once for all that doubt within a twentieth of the interval', async () => {
    const { pass, at, azure } = passes({ needs: [need('web', 'i')] });
    await at(0);
    const afterWrite = azure.reads;
    azure.list.clear();
    pass.lookAgain();
    assert.equal(await at(1_000), 2_000);
    assert.equal(azure.reads, afterWrite);
    for (const _ of [1, 2, 3]) pass.lookAgain();
    await at(3_000);
    assert.deepEqual(azure.names(), ['i']);
    assert.equal(azure.writes.length, 2);
    assert.equal(azure.reads, afterWrite + 2);
  });

  it('answers a doubt with the next look where the first one after it failed', async () => {
    const { pass, at, azure } = passes({ needs: [need('web', 'i')] });
    await at(0);
    azure.list.clear();
    pass.lookAgain();
    azure.onRead.push(() => {
      throw new ArmError({ code: 'transient', retryAfterSeconds: 1 }, 'oops');
    });
    assert.equal(await at(3_000), 1_000);
    await at(4_000);
    assert.deepEqual(azure.names(), ['i']);
  });

  it('leaves the rest of a long change to the next leader when its own time ends between two writes, and blames nobody', async () => {
    const needs = Array.from({ length: 151 }, (_, index) => need('web', `i${index}`));
    let asked = 0;
    const { at, azure, records, statusOf, heard } = passes({ needs, mayWrite: () => ++asked <= 2 });
    await at(0);
    assert.equal(azure.writes.length, 1);
    assert.equal(Object.keys(records.states()).length, 150);
    assert.equal(needs.filter((each) => statusOf(each) === 'Assigned').length, 150);
    assert.ok(!heard.some(({ reason }) => reason === 'AzureError'));
  });

  it('attaches a recreated identity anew, and its objects get the ids that it has now', async () => {
    const web = need('web', 'i');
    web.match.identity.clientID = '';
    const { at, azure, noteOf, statusOf } = passes({ needs: [web] });
    await at(0);
    assert.equal(noteOf(web, 'client-id'), 'client-i');
    azure.list.set(idOf('i'), null);
    azure.shows = () => ({ clientId: 'client-new', principalId: 'principal-new' });
    await at(400_000);
    assert.equal(statusOf(web), 'Assigned');
    assert.deepEqual([noteOf(web, 'client-id'), noteOf(web, 'object-id')], ['client-new', 'principal-new']);
  });

  it('lets a recreated identity rest that Azure shows without ids even after it was attached anew', async () => {
    const azure = fakeAzure(['i']);
    azure.list.set(idOf('i'), null);
    azure.shows = () => null;
    const { at } = passes({ needs: [need('web', 'i')], azure, records: recorded('i', 'owned') });
    await at(0);
    const { length } = azure.writes;
    assert.ok(length > 0);
    for (const time of [1_000, 2_000, 3_000, 31_000]) await at(time);
    assert.equal(azure.writes.length, length);
    await at(61_000);
    assert.ok(azure.writes.length > length, 'not for ever');
  });

  it('knows nothing of what it wrote until Azure could be looked at again, and uses the rest meanwhile', async () => {
    const { at, azure, come, statusOf } = passes({ needs: [], azure: fakeAzure(['mine', 'foreign']), records: recorded('mine', 'owned') });
    azure.onWrite.push(() =>
      azure.onRead.push(() => {
        throw throttled(60);
      }),
    );
    await at(0);
    assert.deepEqual(azure.names(), ['foreign']);
    const gone = come(need('late', 'mine'));
    const there = come(need('late', 'foreign'));
    await at(1_000);
    assert.deepEqual([statusOf(gone), statusOf(there)], ['Created', 'Assigned']);
  });

  it('leaves no claim on what Azure refused, also where the look after it failed, and never takes away what a person attached then', async () => {
    const needs = [need('web', 'i')];
    const { at, azure, records } = passes({ needs });
    azure.refuses = true;
    azure.onWrite.push(() => {
      azure.onRead.push(() => {
        throw throttled(300);
      });
      throw new ArmError({ code: 'badIdentities', ids: [idOf('i')], reason: 'missingRole' }, 'no role', { status: 403 });
    });
    await at(0);
    assert.deepEqual(records.states(), {});
    azure.list.set(idOf('i'), { clientId: 'client-i', principalId: 'p' });
    await at(301_000);
    needs.length = 0;
    azure.refuses = false;
    for (const time of [700_000, 1_100_000, 1_500_000]) await at(time);
    assert.deepEqual(azure.names(), ['i']);
  });

  it('tries again soon what the API server failed to take while Azure rests, which rests no shorter for it', async () => {
    const { pass, at, azure, objects, come, statusOf } = passes({ needs: [need('web', 'i')], reconcileMs: 3_600_000 });
    await at(0);
    azure.onRead.push(() => {
      throw new ArmError({ code: 'denyAssignment' }, 'locked');
    });
    pass.lookAgain();
    assert.equal(await at(200_000), 600_000);
    const { reads } = azure;
    const late = come(need('late', 'i'));
    const { updateStatus } = objects.objects;
    objects.objects.updateStatus = async () => {
      throw new Error('socket hang up');
    };
    assert.equal(await at(210_000), 5_000);
    objects.objects.updateStatus = updateStatus;
    assert.equal(await at(215_000), 585_000);
    assert.equal(statusOf(late), 'Assigned');
    pass.lookAgain();
    await at(799_000);
    assert.equal(azure.reads, reads);
    await at(800_000);
    assert.equal(azure.reads, reads + 1);
  });

  it('looks at a paused scope once in an interval, however often it is woken, and pods use what that showed', async () => {
    const waiting = need('web', 'i');
    const needs: Need[] = [waiting];
    const records = fakeRecords({ ...emptyRecord(testScope.id), paused: true });
    const { at, azure, come, reasonOf, statusOf } = passes({ needs, azure: fakeAzure(['there']), records });
    for (const time of [0, 1_000, 2_000, 59_000]) await at(time);
    assert.equal(azure.reads, 1);
    const late = come(need('late', 'there'));
    assert.equal(await at(59_500), 500);
    assert.deepEqual([statusOf(late), reasonOf(waiting)], ['Assigned', 'ScopePaused']);
    await at(60_000);
    assert.equal(azure.reads, 2);
    assert.deepEqual(azure.writes, []);
  });
});
