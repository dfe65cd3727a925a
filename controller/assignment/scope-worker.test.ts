import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import { silentLogger } from '../../lib/log.ts';
import { ArmError } from '../azure/errors.ts';
import type { Need } from './demand.ts';
import { createScopePass } from './scope-pass.ts';
import { emptyRecord, withEntries } from './scope-record.ts';
import type { ScopeWorker, ScopeWorkerOptions } from './scope-worker.ts';
import { runScopeWorker } from './scope-worker.ts';
import { fakeAzure, fakeObjects, fakeRecords, idOf, need, testScope } from './testing/scope.ts';

interface Parts {
  needs: Need[];
  azure?: ReturnType<typeof fakeAzure>;
  records?: ReturnType<typeof fakeRecords>;
  isProtected?: (id: string) => boolean;
  mayWrite?: () => boolean;
  reconcileMs?: number;
  adoptAttached?: boolean;
}

const started: ScopeWorker[] = [];
// Also those of a test that failed half-way: their timers would keep the process alive.
afterEach(async () => {
  await Promise.all(started.splice(0).map((worker) => worker.stop()));
});

function situation(parts: Parts, now: () => Date = () => new Date()) {
  const azure = parts.azure ?? fakeAzure();
  const records = parts.records ?? fakeRecords();
  const objects = fakeObjects(parts.needs);
  const events: string[] = [];
  const options: ScopeWorkerOptions = {
    scope: testScope,
    needs: () => parts.needs,
    assignmentOf: objects.assignmentOf,
    compute: azure.compute,
    records: records.records,
    objects: objects.objects,
    events: { record: (regarding, _type, reason) => events.push(`${regarding.kind} ${reason}`), flush: async () => undefined },
    log: silentLogger,
    mayWrite: parts.mayWrite ?? (() => true),
    isProtected: parts.isProtected ?? (() => false),
    lingerMs: 0,
    adoptAttached: parts.adoptAttached ?? false,
    quietMs: 1,
    maxMs: 5,
    reconcileMs: parts.reconcileMs ?? 60_000,
    now,
    onPass: () => undefined,
    onIdle: () => undefined,
    random: () => 0,
  };
  return { azure, records, objects, events, options };
}

function worker(parts: Parts) {
  const { azure, records, objects, events, options } = situation(parts);
  const running = runScopeWorker(options);
  started.push(running);
  const allAssigned = () => parts.needs.every((each) => objects.assignmentOf(each)?.status === 'Assigned');
  const reasonOf = (of: Need) => objects.assignmentOf(of)?.metadata.annotations?.['aadpodidentity.k8s.io/reason'];
  return {
    azure,
    records,
    objects,
    events,
    running,
    assigned: () => objects.until(allAssigned),
    reason: (of: Need, reason: string) => objects.until(() => reasonOf(of) === reason),
  };
}

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
    assert.deepEqual(records.states().mine === undefined || records.states().mine === 'detaching', true);
  });

  it('lets one bad identity rest and attaches the others, telling the object and its binding why', async () => {
    const needs = [need('web', 'bad'), need('web', 'good')];
    const azure = fakeAzure();
    azure.onWrite.push(() => {
      throw new ArmError({ code: 'badIdentities', ids: [idOf('bad')], reason: 'notFound' }, "Resource 'bad' was not found.");
    });
    const { objects, running, events } = worker({ needs, azure });
    const [bad, good] = needs;
    assert.ok(bad && good);
    running.wake();
    await objects.until(() => objects.assignmentOf(good)?.status === 'Assigned');
    await running.stop();
    assert.deepEqual(azure.names(), ['good']);
    assert.equal(objects.assignmentOf(bad)?.status, 'Created');
    const notes = objects.assignmentOf(bad)?.metadata.annotations ?? {};
    assert.equal(notes['aadpodidentity.k8s.io/reason'], 'IdentityNotFound');
    // Its own next try, which is not that of the others.
    assert.ok(Date.parse(notes['aadpodidentity.k8s.io/retry-at'] ?? '') > Date.now() + 30_000);
    for (const told of ['AzureIdentityBinding binding apply error', 'Pod IdentityNotFound', 'AzureIdentity Quarantined'])
      assert.ok(events.includes(told), told);
  });

  const troubles: [string, ArmError, Need, string][] = [
    [
      'an identity that is kept out of writes',
      new ArmError({ code: 'badIdentities', ids: [idOf('bad')], reason: 'notFound' }, 'not found'),
      need('late', 'bad'),
      'IdentityNotFound',
    ],
    [
      'any identity of a scope that may not be written',
      new ArmError({ code: 'denyAssignment' }, 'locked'),
      need('late', 'other'),
      'DenyAssignment',
    ],
  ];
  for (const [what, error, late, reason] of troubles)
    it(`tells a pod that comes later for ${what} why it waits, without a call to Azure`, async () => {
      const needs = [need('web', 'bad')];
      const azure = fakeAzure();
      azure.onWrite.push(() => {
        throw error;
      });
      const { running, objects, reason: told } = worker({ needs, azure });
      const [first] = needs;
      assert.ok(first);
      running.wake();
      await told(first, reason);
      needs.push(late);
      objects.add(late);
      const { reads } = azure;
      running.wake();
      await told(late, reason);
      assert.equal(objects.assignmentOf(late)?.status, 'Created');
      assert.equal(azure.writes.length, 1);
      // After a refused write what is attached is looked at still, since it may be used.
      assert.ok(azure.reads - reads <= 1);
    });

  it('reads again and goes on at once after another writer was faster', async () => {
    const azure = fakeAzure();
    azure.onWrite.push(() => {
      throw new ArmError({ code: 'preconditionFailed' }, 'etag');
    });
    const { running, assigned } = worker({ needs: [need('web', 'i')], azure });
    running.wake();
    await assigned();
    await running.stop();
    assert.equal(azure.writes.length, 2);
  });

  it('reports a clientID that belongs to another resource and does not serve it', async () => {
    const wrong = need('web', 'i');
    wrong.match.identity.clientID = 'somebody-else';
    const { objects, running, events, reason } = worker({ needs: [wrong] });
    running.wake();
    await reason(wrong, 'ClientIDMismatch');
    await running.stop();
    assert.ok(events.includes('AzureIdentity ClientIDMismatch'));
    assert.equal(objects.assignmentOf(wrong)?.status, 'Created');
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

  it('does not claim what another writer attached while its own write was refused, and never takes it away', async () => {
    const needs = [need('web', 'i')];
    const azure = fakeAzure();
    azure.onWrite.push(() => {
      azure.list.set(idOf('i'), { clientId: 'client-i', principalId: 'p' });
      throw new ArmError({ code: 'preconditionFailed' }, 'etag', { status: 412 });
    });
    azure.refuses = true;
    const { objects, records, running, assigned } = worker({ needs, azure });
    running.wake();
    await assigned();
    assert.deepEqual(records.states(), {});
    const other = need('other', 'j');
    needs.splice(0, 1, other);
    objects.add(other);
    azure.refuses = false;
    running.wake();
    await assigned();
    await running.stop();
    assert.deepEqual(azure.names(), ['i', 'j']);
    assert.deepEqual(records.states(), { j: 'owned' });
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

  it('rests for a whole interval where nothing is needed or recorded, also once its last look is old', async () => {
    let now = 0;
    const record = withEntries(emptyRecord(testScope.id), [[idOf('never-attached'), 'intent']], new Date(0));
    const { options } = situation({ needs: [], records: fakeRecords(record) }, () => new Date(now));
    const pass = createScopePass(options);
    for (now of [0, 1_000, 70_000, 200_000]) assert.ok((await pass.run(new AbortController().signal)) >= 59_000, `at ${now}`);
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
      const running = runScopeWorker({ ...options, onIdle: idle.resolve });
      started.push(running);
      running.wake();
      await idle.promise;
      assert.equal(removed, !paused);
      assert.equal(azure.reads, 0);
    });

  it('looks again when a sidecar doubts, once for all that doubt within a twentieth of the interval', async () => {
    let now = 0;
    const { options, azure } = situation({ needs: [need('web', 'i')] }, () => new Date(now));
    const pass = createScopePass(options);
    const { signal } = new AbortController();
    await pass.run(signal);
    const afterWrite = azure.reads;
    azure.list.clear();
    pass.lookAgain();
    now = 1_000;
    assert.equal(await pass.run(signal), 2_000);
    assert.equal(azure.reads, afterWrite);
    now = 3_000;
    for (const _ of [1, 2, 3]) pass.lookAgain();
    await pass.run(signal);
    assert.deepEqual(azure.names(), ['i']);
    assert.equal(azure.writes.length, 2);
    assert.equal(azure.reads, afterWrite + 2);
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

  it('leaves the rest of a long change to the next leader when its own time ends between two writes, and blames nobody', async () => {
    const needs = Array.from({ length: 151 }, (_, index) => need('web', `i${index}`));
    let asked = 0;
    const { options, azure, records, objects, events } = situation({ needs, mayWrite: () => ++asked <= 2 });
    await createScopePass(options).run(new AbortController().signal);
    assert.equal(azure.writes.length, 1);
    assert.equal(Object.keys(records.states()).length, 150);
    assert.equal(needs.filter((each) => objects.assignmentOf(each)?.status === 'Assigned').length, 150);
    assert.ok(!events.includes('Pod AzureError'));
  });
});
