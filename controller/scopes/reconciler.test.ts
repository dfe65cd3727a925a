import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Need } from '../../lib/identities/need.ts';
import { ArmError } from '../azure/arm/errors.ts';
import { emptyRecord, withChanges } from './ownership.ts';
import { scopeHarness } from './testing/harness.ts';
import { fakeAzure, fakeRecords, idOf, need, testScope } from './testing/scope.ts';

const recorded = (name: string, state: 'intent' | 'owned') =>
  fakeRecords(withChanges(emptyRecord(testScope.id), [[idOf(name), state]], new Date(0)));

describe('scope reconciler', () => {
  it('attaches all that is needed in one write, with the ids that Azure reports', async () => {
    const needs = [need('web-0', 'i'), need('web-1', 'i'), need('web-1', 'j')];
    const { at, azure, records, recorded: events, annotationOf, statusOf } = scopeHarness({ needs });
    await at(0);
    assert.deepEqual(azure.writes, [{ attach: [idOf('i'), idOf('j')], detach: [] }]);
    assert.deepEqual(records.states(), { i: 'owned', j: 'owned' });
    assert.deepEqual(needs.map(statusOf), ['Assigned', 'Assigned', 'Assigned']);
    const [web] = needs;
    assert.ok(web);
    assert.deepEqual([annotationOf(web, 'client-id'), annotationOf(web, 'scope')], ['client-i', testScope.displayId]);
    const reasons = new Set(events.map(({ kind, reason }) => `${kind} ${reason}`));
    assert.deepEqual(reasons, new Set(['Pod Attaching', 'Pod Attached', 'AzureIdentityBinding binding applied']));
  });

  it('records the intent before it writes', async () => {
    const records = fakeRecords();
    const azure = fakeAzure();
    let before: unknown;
    azure.onWrite.push(() => {
      before = records.states();
    });
    await scopeHarness({ needs: [need('web', 'i')], azure, records }).at(0);
    assert.deepEqual(before, { i: 'intent' });
  });

  it('uses a foreign identity without a write and never detaches it', async () => {
    const needs = [need('web', 'foreign')];
    const { at, add, azure, records, statusOf } = scopeHarness({ needs, azure: fakeAzure(['foreign', 'other']) });
    await at(0);
    needs.length = 0;
    const other = add(need('other', 'other'));
    await at(1_000);
    assert.equal(statusOf(other), 'Assigned');
    assert.deepEqual(azure.writes, []);
    assert.deepEqual(records.states(), {});
    assert.deepEqual(azure.names(), ['foreign', 'other']);
  });

  it('detaches what it attached once no pod needs it, and nothing else', async () => {
    const { at, azure, records } = scopeHarness({ needs: [], azure: fakeAzure(['mine', 'foreign']), records: recorded('mine', 'owned') });
    await at(0);
    assert.deepEqual(azure.writes, [{ attach: [], detach: [idOf('mine')] }]);
    assert.deepEqual(azure.names(), ['foreign']);
    assert.deepEqual(records.states(), {});
  });

  it('keeps a protected identity attached', async () => {
    const { at, azure } = scopeHarness({
      needs: [],
      azure: fakeAzure(['mine']),
      records: recorded('mine', 'owned'),
      options: { isProtected: () => true },
    });
    await at(0);
    assert.deepEqual(azure.writes, []);
  });

  it('writes nothing and blames nothing while leadership is about to end', async () => {
    const { at, azure, recorded: events } = scopeHarness({ needs: [need('web', 'i')], options: { mayWrite: () => false } });
    assert.equal(await at(0), 500);
    assert.deepEqual([azure.writes, events], [[], []]);
  });

  it('leaves the rest of a long change to the next leader when its term ends', async () => {
    const needs = Array.from({ length: 151 }, (_, index) => need('web', `i${index}`));
    let asked = 0;
    const { at, azure, records, statusOf, recorded: events } = scopeHarness({ needs, options: { mayWrite: () => ++asked <= 2 } });
    await at(0);
    assert.equal(azure.writes.length, 1);
    assert.equal(Object.keys(records.states()).length, 150);
    assert.equal(needs.filter((each) => statusOf(each) === 'Assigned').length, 150);
    assert.ok(!events.some(({ reason }) => reason === 'AzureError'));
  });

  for (const adoptAttached of [true, false])
    it(`${adoptAttached ? 'claims' : 'does not claim'} what aad-pod-identity attached with adoptAttached ${adoptAttached}`, async () => {
      const needs = [need('web', 'theirs')];
      const [theirs] = needs;
      assert.ok(theirs);
      const options = { adoptAttached };
      const {
        at,
        azure,
        records,
        objects,
        statusOf,
        annotationOf,
        recorded: events,
      } = scopeHarness({
        needs,
        azure: fakeAzure(['theirs']),
        options,
      });
      objects.add(theirs, 'Assigned');
      await at(0);
      assert.deepEqual([statusOf(theirs), annotationOf(theirs, 'client-id')], ['Assigned', 'client-theirs']);
      assert.deepEqual(records.states(), adoptAttached ? { theirs: 'owned' } : {});
      needs.length = 0;
      await at(100_000);
      assert.deepEqual(azure.names(), adoptAttached ? [] : ['theirs']);
      assert.deepEqual(events, [], 'aad-pod-identity recorded the Events before');
    });

  it('keeps what a person edits in the record during a write, and what the write did', async () => {
    const azure = fakeAzure();
    const records = fakeRecords();
    azure.onWrite.push(() => records.edit((record) => ({ ...record, paused: true })));
    await scopeHarness({ needs: [need('web', 'i')], azure, records }).at(0);
    assert.deepEqual(records.states(), { i: 'owned' });
    assert.equal((await records.store.load(testScope.id)).record.paused, true);
  });

  it('attaches a recreated identity anew and writes its new ids on the objects', async () => {
    const web = need('web', 'i');
    web.match.identity.clientID = '';
    const { at, azure, annotationOf, statusOf } = scopeHarness({ needs: [web] });
    await at(0);
    assert.equal(annotationOf(web, 'client-id'), 'client-i');
    azure.list.set(idOf('i'), null);
    azure.shows = () => ({ clientId: 'client-new', principalId: 'principal-new' });
    await at(400_000);
    assert.equal(statusOf(web), 'Assigned');
    assert.deepEqual([annotationOf(web, 'client-id'), annotationOf(web, 'object-id')], ['client-new', 'principal-new']);
  });

  it('quarantines a recreated identity without ids after it was attached again', async () => {
    const azure = fakeAzure(['i']);
    azure.list.set(idOf('i'), null);
    azure.shows = () => null;
    const { at } = scopeHarness({ needs: [need('web', 'i')], azure, records: recorded('i', 'owned') });
    await at(0);
    const { length } = azure.writes;
    assert.ok(length > 0);
    for (const time of [1_000, 2_000, 3_000, 31_000]) await at(time);
    assert.equal(azure.writes.length, length);
    await at(61_000);
    assert.ok(azure.writes.length > length, 'not for ever');
  });

  it('forgets the identities of a write until a GET succeeds, and keeps the rest', async () => {
    const { at, add, azure, statusOf } = scopeHarness({
      needs: [],
      azure: fakeAzure(['mine', 'foreign']),
      records: recorded('mine', 'owned'),
    });
    azure.onWrite.push(() =>
      azure.onRead.push(() => {
        throw new ArmError({ code: 'throttled', of: 'scope', source: 'header', retryAfterSeconds: 60 }, 'slow down');
      }),
    );
    await at(0);
    assert.deepEqual(azure.names(), ['foreign']);
    const gone = add(need('late', 'mine'));
    const present = add(need('late', 'foreign'));
    await at(1_000);
    assert.deepEqual([statusOf(gone), statusOf(present)], ['Created', 'Assigned']);
  });

  it('reports the duration of a reconciliation only if it called Azure', async () => {
    const { at, azureCalls } = scopeHarness({ needs: [need('web', 'i')] });
    await at(0);
    assert.equal(azureCalls.length, 1);
    await at(1_000);
    assert.equal(azureCalls.length, 1);
  });
});

describe('scope status during a write', () => {
  it('assigns what is attached already while a write for other pods goes on', async () => {
    const azure = fakeAzure(['old']);
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    const { write } = azure.compute;
    azure.compute.write = async (...args) => {
      const end = await write(...args);
      await released;
      return end;
    };
    const slow = need('slow', 'new');
    const { at, add, reconcileStatus, reconciler, statusOf } = scopeHarness({ needs: [slow], azure });
    const reconciled = at(0);
    await azure.until(() => azure.writes.length === 1);
    assert.ok(reconciler.isWriting(testScope.id));
    const late = add(need('late', 'old'));
    await reconcileStatus();
    assert.deepEqual([statusOf(late), statusOf(slow)], ['Assigned', 'Created']);
    release();
    await reconciled;
    assert.equal(statusOf(slow), 'Assigned');
    assert.ok(!reconciler.isWriting(testScope.id));
  });

  it('assigns nothing that an operation of a former leader is about', async () => {
    const [begun, untouched] = [need('web', 'begun'), need('web', 'old')];
    const record = { ...(await recorded('begun', 'intent').store.load('')).record, operation: 'https://arm/operation' };
    const azure = fakeAzure(['begun', 'old']);
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    const { promise: resumed, resolve: resume } = Promise.withResolvers<void>();
    azure.compute.resume = () => {
      resume();
      return ended;
    };
    const { at, reconcileStatus, statusOf } = scopeHarness({ needs: [begun, untouched], azure, records: fakeRecords(record) });
    const reconciled = at(0);
    await resumed;
    await reconcileStatus();
    assert.deepEqual([statusOf(untouched), statusOf(begun)], ['Assigned', 'Created']);
    end();
    await reconciled;
    assert.equal(statusOf(begun), 'Assigned');
  });

  for (const whose of ['its own', 'a former'] as const)
    it(`says on objects and pods why ${whose} operation is not known to have ended`, async () => {
      const [web, other] = [need('web', 'begun'), need('web', 'old')];
      const record = { ...(await recorded('begun', 'intent').store.load('')).record, operation: 'https://arm/operation' };
      const azure = fakeAzure(['old']);
      const records = whose === 'its own' ? fakeRecords() : fakeRecords(record);
      const parts = scopeHarness({ needs: [web, other], azure, records });
      const seen: unknown[] = [];
      const throttle = async (options: { onThrottled?: (waitMs: number) => void | Promise<void> } = {}) => {
        await options.onThrottled?.(30_000);
        seen.push(parts.reasonOf(web), parts.annotationOf(web, 'retry-at'));
      };
      const { write } = azure.compute;
      azure.compute.write = async (scope, change, before, options) => {
        if (whose === 'its own') await throttle(options);
        return write(scope, change, before, options);
      };
      azure.compute.resume = (_scope, _url, options) => throttle(options);
      await parts.at(0);
      assert.deepEqual(seen, ['Throttled', '1970-01-01T00:00:30.000Z']);
      assert.deepEqual([parts.statusOf(web), parts.reasonOf(web), parts.reasonOf(other)], ['Assigned', undefined, undefined]);
      const told = parts.recorded.filter(({ reason }) => reason === 'Throttled' || reason === 'binding apply error');
      assert.deepEqual(
        told.map(({ kind, name, reason }) => [kind, name, reason]),
        [['Pod', 'web', 'Throttled']],
      );
      assert.match(told[0]?.message ?? '', /waits: Azure works on the write to \S+ and refuses questions about it/);
    });

  it('says on objects and pods that AKS restricts IMDS, until it no longer does', async () => {
    const [web, host] = [need('web', 'i'), need('host', 'i')];
    host.pod.hostNetwork = true;
    const { at, azure, statusOf, reasonOf, annotationOf, recorded: events, refresh } = scopeHarness({ needs: [web, host] });
    azure.imdsRestricted = true;
    await at(0);
    assert.deepEqual([web, host].map(statusOf), ['Assigned', 'Assigned']);
    assert.deepEqual([web, host].map(reasonOf), ['ImdsRestricted', undefined]);
    assert.match(annotationOf(web, 'message') ?? '', /kubectl annotate azureidentity i -n app aadpodidentity.k8s.io\/assignment=federate/);
    assert.equal(events.filter(({ kind, reason }) => kind === 'Pod' && reason === 'ImdsRestricted').length, 1);
    azure.imdsRestricted = false;
    refresh();
    await at(61_000);
    assert.deepEqual([statusOf(web), reasonOf(web), annotationOf(web, 'message')], ['Assigned', undefined, undefined]);
  });
});

describe('scope reconciler while identities are switched', () => {
  /** As the reconciler of federated identities leaves an object. */
  async function federated(parts: ReturnType<typeof scopeHarness>, of: Need): Promise<void> {
    const current = parts.objects.assignmentOf(of);
    assert.ok(current);
    const ids = { scope: of.match.identity.resourceID, clientId: 'client-i', objectId: 'p' };
    await parts.objects.statuses.updateStatus(current, 'Assigned', ids);
  }

  it('attaches a federated identity and gives its object the scope once that is done', async () => {
    const web = need('web', 'i');
    const parts = scopeHarness({ needs: [web] });
    await federated(parts, web);
    parts.azure.onWrite.push(() => {
      throw new ArmError({ code: 'unknown' }, 'not now');
    });
    const retryMs = await parts.at(0);
    assert.equal(parts.statusOf(web), 'Assigned');
    assert.equal(parts.annotationOf(web, 'scope'), web.match.identity.resourceID);
    assert.ok(parts.recorded.some(({ kind, reason }) => kind === 'Pod' && reason === 'AzureError'));
    await parts.at(retryMs + 1);
    assert.equal(parts.statusOf(web), 'Assigned');
    assert.equal(parts.annotationOf(web, 'scope'), testScope.displayId);
  });

  it('leaves the object of a federated identity alone whose attachment is only kept', async () => {
    const web = { ...need('web', 'i'), keepOnly: true } as const;
    const parts = scopeHarness({ needs: [web], azure: fakeAzure(['i']), records: recorded('i', 'owned') });
    await federated(parts, web);
    await parts.at(0);
    assert.equal(parts.annotationOf(web, 'scope'), web.match.identity.resourceID);
    assert.deepEqual(parts.azure.writes, []);
  });
});
