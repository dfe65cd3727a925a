// What is done and told when Azure refuses a scope's write, or shows something else than was meant.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Need } from '../../lib/identities/need.ts';
import { KubeError } from '../../lib/kube/errors.ts';
import { ArmError } from '../azure/arm/errors.ts';
import { RecordError } from './ownership.ts';
import { passes } from './testing/reconciler.ts';
import { fakeAzure, idOf, need } from './testing/scope.ts';
import { worker } from './testing/scope-worker.ts';

describe('the worker of a scope in trouble', () => {
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
});

describe('a pass over a scope in trouble', () => {
  for (const error of [
    Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' }),
    new KubeError(503, 'ServiceUnavailable', 'overloaded'),
  ])
    it(`does not tell users that Azure failed where it was the API server: ${error.message}`, async () => {
      const web = need('web', 'i');
      const { at, heard, records, reasonOf, statusOf } = passes({ needs: [web] });
      const { load } = records.records;
      records.records.load = async () => {
        throw error;
      };
      const retryMs = await at(0);
      assert.deepEqual(heard, []);
      assert.equal(reasonOf(web), undefined);
      records.records.load = load;
      await at(retryMs);
      assert.equal(statusOf(web), 'Assigned');
    });

  const mendable: [string, 'load' | 'save', Error][] = [
    ['may not be written', 'save', new KubeError(403, 'Forbidden', 'configmaps is forbidden')],
    ['cannot be understood', 'load', new RecordError('data.identities is not JSON')],
  ];
  for (const [what, call, error] of mendable)
    it(`tells the pods that wait for it that its record ${what}, which only a person can mend`, async () => {
      const web = need('web', 'i');
      const { at, heard, records, azure, noteOf, reasonOf } = passes({ needs: [web] });
      records.records[call] = async () => {
        throw error;
      };
      await at(0);
      assert.equal(reasonOf(web), 'AzureError');
      assert.match(noteOf(web, 'message') ?? '', new RegExp(error.message));
      assert.ok(heard.some(({ kind, type }) => kind === 'Pod' && type === 'Warning'));
      assert.deepEqual(azure.writes, []);
    });

  it('says of an identity that somebody detached and that cannot be put back that it is assigned no more, and why', async () => {
    const web = need('web', 'i');
    const { at, azure, heard, reasonOf, statusOf } = passes({ needs: [web] });
    await at(0);
    assert.equal(statusOf(web), 'Assigned');
    azure.list.clear();
    azure.refuses = true;
    azure.onWrite.push(() => {
      throw new ArmError({ code: 'missingRole', action: 'x' }, 'role is gone', { status: 403 });
    });
    await at(200_000);
    assert.deepEqual([statusOf(web), reasonOf(web)], ['Created', 'MissingRole']);
    assert.ok(heard.some(({ kind, reason }) => kind === 'Pod' && reason === 'MissingRole'));
  });

  it('tells of each identity that is kept out of writes its own cause only', async () => {
    const { at, azure, heard, come } = passes({ needs: [need('web', 'a')] });
    const refused = (name: string) => () => {
      throw new ArmError({ code: 'badIdentities', ids: [idOf(name)], reason: 'notFound' }, `${name} was not found`, { status: 400 });
    };
    azure.refuses = true;
    azure.onWrite.push(refused('a'), refused('b'));
    await at(0);
    come(need('late', 'b'));
    await at(30_000);
    const told = heard.filter(({ reason }) => reason === 'Quarantined').map(({ name, message }) => [name, message.split(': ').at(-1)]);
    assert.deepEqual(told, [
      ['a', 'a was not found'],
      ['b', 'b was not found'],
    ]);
  });

  it('keeps the reason and the next try of an identity that is kept out of writes while the scope is throttled for a moment', async () => {
    const bad = need('web', 'bad');
    const { at, azure, noteOf, reasonOf } = passes({ needs: [bad] });
    azure.refuses = true;
    azure.compute.write = async () => {
      throw new ArmError({ code: 'badIdentities', ids: [idOf('bad')], reason: 'notFound' }, 'bad was not found', { status: 400 });
    };
    // Each failure keeps it out for twice as long, in the end for 8 minutes.
    for (const time of [0, 61_000, 200_000, 460_000]) await at(time);
    assert.equal(reasonOf(bad), 'IdentityNotFound');
    const next = noteOf(bad, 'retry-at');
    assert.ok(next);
    azure.onRead.push(() => {
      throw new ArmError({ code: 'throttled', of: 'scope', source: 'header', retryAfterSeconds: 10 }, 'slow down');
    });
    const { reads } = azure;
    for (const time of [650_000, 665_000, 760_000]) {
      await at(time);
      assert.deepEqual([reasonOf(bad), noteOf(bad, 'retry-at')], ['IdentityNotFound', next]);
    }
    assert.ok(azure.reads > reads, 'the scope was throttled');
  });
});
