// What is done and told when Azure refuses a scope's write, or shows something else than was meant.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ArmError } from '../azure/errors.ts';
import type { Need } from './demand.ts';
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
