// What becomes of a scope when nothing goes wrong: what is written, in which order, what is left alone, and when it is over.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ArmError } from '../azure/arm/errors.ts';
import { emptyRecord, withEntries } from './ownership.ts';
import { fakeAzure, fakeRecords, idOf, need, testScope } from './testing/scope.ts';
import { situation, startWorker, worker } from './testing/scope-worker.ts';

describe('the worker of a scope', () => {
  it('carries all that waits in one write, and assigns it with the ids that Azure reports', async () => {
    const needs = [need('web-0', 'i'), need('web-1', 'i'), need('web-1', 'j')];
    const { azure, records, objects, running, assigned, events } = worker({ needs });
    running.wake();
    await assigned();
    await running.stop();
    assert.deepEqual(azure.writes, [{ attach: [idOf('i'), idOf('j')], detach: [] }]);
    assert.deepEqual(records.states(), { i: 'owned', j: 'owned' });
    const annotations = objects.assignmentOf(needs[0] ?? need('', ''))?.metadata.annotations ?? {};
    assert.equal(annotations['aadpodidentity.k8s.io/client-id'], 'client-i');
    assert.equal(annotations['aadpodidentity.k8s.io/scope'], testScope.displayId);
    assert.deepEqual(new Set(events), new Set(['Pod Attaching', 'Pod Attached', 'AzureIdentityBinding binding applied']));
  });

  it('writes down what it is going to do before it does it', async () => {
    const records = fakeRecords();
    const azure = fakeAzure();
    let recorded: unknown;
    azure.onWrite.push(() => {
      recorded = records.states();
    });
    const { running, assigned } = worker({ needs: [need('web', 'i')], azure, records });
    running.wake();
    await assigned();
    await running.stop();
    assert.deepEqual(recorded, { i: 'intent' });
  });

  it('uses a foreign identity without a write and never takes it away', async () => {
    const needs = [need('web', 'foreign')];
    const { azure, records, objects, running, assigned } = worker({ needs, azure: fakeAzure(['foreign', 'theirs']) });
    running.wake();
    await assigned();
    const other = need('other', 'theirs');
    needs.splice(0, 1, other);
    objects.add(other);
    running.wake();
    await assigned();
    await running.stop();
    assert.deepEqual(azure.writes, []);
    assert.deepEqual(records.states(), {});
    assert.deepEqual(azure.names(), ['foreign', 'theirs']);
  });

  it('takes away what it brought once nothing needs it, and leaves the rest', async () => {
    const record = withEntries(emptyRecord(testScope.id), [[idOf('mine'), 'owned']], new Date());
    const { azure, records, running } = worker({ needs: [], azure: fakeAzure(['mine', 'foreign']), records: fakeRecords(record) });
    running.wake();
    await azure.until(() => azure.reads === 2);
    await running.stop();
    assert.deepEqual(azure.writes, [{ attach: [], detach: [idOf('mine')] }]);
    assert.deepEqual(azure.names(), ['foreign']);
    assert.ok(records.states().mine === undefined || records.states().mine === 'detaching');
  });

  it('leaves a protected identity and writes nothing while its record is paused or leadership ends', async () => {
    const record = withEntries(emptyRecord(testScope.id), [[idOf('mine'), 'owned']], new Date());
    const kept = worker({ needs: [], azure: fakeAzure(['mine']), records: fakeRecords(record), isProtected: () => true });
    kept.running.wake();
    await kept.azure.until(() => kept.azure.reads === 1);
    await kept.running.stop();
    const waiting = need('web', 'i');
    const paused = worker({ needs: [waiting], records: fakeRecords({ ...emptyRecord(testScope.id), paused: true }) });
    paused.running.wake();
    await paused.reason(waiting, 'ScopePaused');
    await paused.running.stop();
    const ending = worker({ needs: [waiting], mayWrite: () => false });
    ending.running.wake();
    await ending.azure.until(() => ending.azure.reads === 1);
    await ending.running.stop();
    assert.deepEqual(ending.events, [], 'the end of leadership is not a failure of Azure');
    assert.deepEqual([...kept.azure.writes, ...paused.azure.writes, ...ending.azure.writes], []);
  });

  for (const adoptAttached of [true, false])
    it(`makes what a MIC attached ${adoptAttached ? 'ours where that is wanted' : "nobody else's"}, and learns the ids that Azure reports`, async () => {
      const needs = [need('web', 'theirs')];
      const { azure, records, objects, running, events } = worker({ needs, azure: fakeAzure(['theirs']), adoptAttached });
      const [theirs] = needs;
      assert.ok(theirs);
      objects.add(theirs, 'Assigned');
      running.wake();
      const clientId = () => objects.assignmentOf(theirs)?.metadata.annotations?.['aadpodidentity.k8s.io/client-id'];
      await objects.until(() => clientId() === 'client-theirs');
      assert.equal(objects.assignmentOf(theirs)?.status, 'Assigned');
      assert.deepEqual(records.states(), adoptAttached ? { theirs: 'owned' } : {});
      needs.length = 0;
      running.lookAgain();
      if (adoptAttached) await azure.until(() => azure.writes.length === 1);
      await running.stop();
      assert.deepEqual(azure.names(), adoptAttached ? [] : ['theirs']);
      assert.deepEqual(events, [], 'the MIC has told it before');
    });

  it('keeps what a person writes into the record during a write, and what the write did', async () => {
    const azure = fakeAzure();
    const records = fakeRecords();
    azure.onWrite.push(() => records.edit((record) => ({ ...record, paused: true })));
    const { running, assigned } = worker({ needs: [need('web', 'i')], azure, records });
    running.wake();
    await assigned();
    await running.stop();
    assert.deepEqual(records.states(), { i: 'owned' });
    assert.equal((await records.records.load(testScope.id)).record.paused, true);
  });

  it('forgets a scope that nothing needs and Azure no longer knows', async () => {
    const record = withEntries(emptyRecord(testScope.id), [[idOf('mine'), 'owned']], new Date());
    const azure = fakeAzure();
    azure.compute.read = async () => {
      throw new ArmError({ code: 'notFound' }, 'gone');
    };
    const records = fakeRecords(record);
    const { running } = worker({ needs: [], azure, records, reconcileMs: 20 });
    running.wake();
    await records.until(() => Object.keys(records.states()).length === 0);
    await running.stop();
    assert.deepEqual(azure.writes, []);
  });

  for (const paused of [false, true])
    it(`ends after an idle interval, and its record with it${paused ? ', unless a person paused it' : ''}`, async () => {
      const idle = Promise.withResolvers<void>();
      const records = fakeRecords({ ...emptyRecord(testScope.id), paused });
      let removed = false;
      const { options, azure } = situation({ needs: [], records, reconcileMs: 20 });
      const { remove } = records.records;
      records.records.remove = async (stored) => {
        removed = true;
        await remove(stored);
      };
      const running = startWorker({ ...options, onIdle: idle.resolve });
      running.wake();
      await idle.promise;
      assert.equal(removed, !paused);
      assert.equal(azure.reads, 0);
    });

  it('assigns what is attached already while a write for others takes its time', async () => {
    const needs = [need('slow', 'new')];
    const azure = fakeAzure(['old']);
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    const { write } = azure.compute;
    azure.compute.write = async (...args) => {
      const end = await write(...args);
      await released;
      return end;
    };
    const { objects, running, assigned } = worker({ needs, azure });
    running.wake();
    await azure.until(() => azure.writes.length === 1);
    const late = need('late', 'old');
    objects.add(late);
    needs.push(late);
    running.wake();
    await objects.until(() => objects.assignmentOf(late)?.status === 'Assigned');
    assert.equal(objects.assignmentOf(needs[0] ?? late)?.status, 'Created');
    release();
    await assigned();
    await running.stop();
  });

  it('assigns what is attached already while an operation of a former leader is waited for, but nothing that is part of that', async () => {
    const [begun, untouched] = [need('web', 'begun'), need('web', 'old')];
    const record = {
      ...withEntries(emptyRecord(testScope.id), [[idOf('begun'), 'intent']], new Date(0)),
      operation: 'https://arm/operation',
    };
    const azure = fakeAzure(['begun', 'old']);
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    azure.compute.resume = () => ended;
    const { objects, running, assigned } = worker({ needs: [begun, untouched], azure, records: fakeRecords(record) });
    running.wake();
    await objects.until(() => objects.assignmentOf(untouched)?.status === 'Assigned');
    const meanwhile = objects.assignmentOf(begun)?.status;
    end();
    await assigned();
    assert.equal(meanwhile, 'Created');
  });

  it('asks for no timer that is too long to be one, which would fire at once, again and again', async ({ mock }) => {
    const longest = 2 ** 31 - 1;
    const { promise: asked, resolve } = Promise.withResolvers<number>();
    const start = globalThis.setTimeout;
    mock.method(globalThis, 'setTimeout', (run: () => void, ms: number) => {
      if (ms > longest / 2) resolve(ms);
      return start(run, ms);
    });
    const { running } = worker({ needs: [], reconcileMs: 1000 * 3_600_000 });
    running.wake();
    assert.ok((await asked) <= longest);
  });
});
