// Single passes over a scope on a clock of the test: when the next one is due, when Azure is looked at, where one stops.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createScopePass } from './scope-pass.ts';
import { emptyRecord, withEntries } from './scope-record.ts';
import { fakeRecords, idOf, need, testScope } from './testing/scope.ts';
import { situation } from './testing/scope-worker.ts';

describe('a pass over a scope', () => {
  it('rests for a whole interval where nothing is needed or recorded, also once its last look is old', async () => {
    let now = 0;
    const record = withEntries(emptyRecord(testScope.id), [[idOf('never-attached'), 'intent']], new Date(0));
    const { options } = situation({ needs: [], records: fakeRecords(record) }, () => new Date(now));
    const pass = createScopePass(options);
    for (now of [0, 1_000, 70_000, 200_000]) assert.ok((await pass.run(new AbortController().signal)) >= 59_000, `at ${now}`);
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
