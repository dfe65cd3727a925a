// What happens, and what users read, when Azure or the API server refuses something.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Need } from '../../lib/identities/need.ts';
import { KubeError } from '../../lib/kube/errors.ts';
import { ArmError, errorOf } from '../azure/arm/errors.ts';
import { OwnershipRecordError } from './ownership.ts';
import { scopeHarness } from './testing/harness.ts';
import { fakeAzure, idOf, need } from './testing/scope.ts';

const notFound = (name: string, status?: number) =>
  new ArmError({ code: 'identityNotFound', ids: [idOf(name)] }, `${name} was not found`, status === undefined ? {} : { status });
const gone = (name: string) =>
  new ArmError({ code: 'attachedIdentityGone', ids: [idOf(name)] }, `'${idOf(name)}' was not found`, { status: 400 });
const throwing = (error: Error) => () => {
  throw error;
};

describe('scope reconciler after a failure', () => {
  it('quarantines the one bad identity, with a reason, and attaches the others', async () => {
    const [bad, good] = [need('web', 'bad'), need('web', 'good')];
    const { at, azure, recorded, reconciler, annotationOf, reasonOf, statusOf } = scopeHarness({ needs: [bad, good] });
    azure.onWrite.push(throwing(notFound('bad')));
    await at(await at(0));
    assert.equal(reconciler.count().quarantined, 1);
    assert.deepEqual(azure.names(), ['good']);
    assert.deepEqual([statusOf(bad), reasonOf(bad), statusOf(good)], ['Created', 'IdentityNotFound', 'Assigned']);
    assert.equal(annotationOf(bad, 'retry-at'), new Date(60_000).toISOString(), 'its own next try, later than that of the others');
    for (const [kind, reason] of [
      ['AzureIdentityBinding', 'binding apply error'],
      ['Pod', 'IdentityNotFound'],
      ['AzureIdentity', 'Quarantined'],
    ])
      assert.ok(
        recorded.some((event) => event.kind === kind && event.reason === reason),
        `${kind} ${reason}`,
      );
  });

  it('tries a quarantined identity at once when its AzureIdentity changes', async () => {
    const bad = need('web', 'bad');
    bad.match.identity.object.metadata.resourceVersion = '1';
    const { at, azure, statusOf } = scopeHarness({ needs: [bad] });
    azure.onWrite.push(throwing(notFound('bad')));
    await at(0);
    for (const time of [1_000, 20_000]) await at(time);
    assert.equal(azure.writes.length, 1);
    const { object } = bad.match.identity;
    bad.match.identity.object = { ...object, metadata: { ...object.metadata, resourceVersion: '2' } };
    await at(21_000);
    assert.equal(azure.writes.length, 2);
    assert.equal(statusOf(bad), 'Assigned');
  });

  it('tries an identity that changes all the time four times in ten minutes', async () => {
    const bad = need('web', 'bad');
    const { at, azure } = scopeHarness({ needs: [bad] });
    azure.compute.write = async (_scope, write) => {
      azure.writes.push(write);
      throw notFound('bad', 400);
    };
    for (let second = 0; second < 590; second += 1) {
      const { object } = bad.match.identity;
      bad.match.identity.object = { ...object, metadata: { ...object.metadata, resourceVersion: String(second) } };
      await at(second * 1_000);
    }
    assert.equal(azure.writes.length, 5, 'the first write and four trials');
  });

  const late: [title: string, error: ArmError, late: Need, reason: string][] = [
    ['its identity is quarantined', notFound('bad'), need('late', 'bad'), 'IdentityNotFound'],
    ['its scope is locked', new ArmError({ code: 'denyAssignment' }, 'locked'), need('late', 'other'), 'DenyAssignment'],
  ];
  for (const [title, error, pod, reason] of late)
    it(`explains to a later pod without a write that ${title}`, async () => {
      const { at, add, azure, reasonOf, statusOf } = scopeHarness({ needs: [need('web', 'bad')] });
      azure.onWrite.push(throwing(error));
      await at(0);
      const { reads } = azure;
      add(pod);
      await at(1_000);
      assert.deepEqual([statusOf(pod), reasonOf(pod)], ['Created', reason]);
      assert.equal(azure.writes.length, 1);
      // After a refused write the scope may still be read, since what is attached can be used.
      assert.ok(azure.reads - reads <= 1);
    });

  it('reads again and writes at once after another writer was faster', async () => {
    const { at, azure } = scopeHarness({ needs: [need('web', 'i')] });
    azure.onWrite.push(throwing(new ArmError({ code: 'preconditionFailed' }, 'etag')));
    assert.equal(await at(0), 100);
    await at(100);
    assert.deepEqual(azure.names(), ['i']);
    assert.equal(azure.writes.length, 2);
  });

  it('does not assign an identity whose clientID belongs to another resource', async () => {
    const wrong = need('web', 'i');
    wrong.match.identity.clientID = 'another';
    const { at, recorded, reasonOf, statusOf } = scopeHarness({ needs: [wrong] });
    await at(0);
    assert.deepEqual([statusOf(wrong), reasonOf(wrong)], ['Created', 'ClientIDMismatch']);
    assert.ok(recorded.some(({ kind, reason }) => kind === 'AzureIdentity' && reason === 'ClientIDMismatch'));
  });

  it('neither claims nor detaches what another writer attached during its own write', async () => {
    const needs = [need('web', 'i')];
    const { at, add, azure, records } = scopeHarness({ needs });
    azure.refuses = true;
    azure.onWrite.push(() => {
      azure.list.set(idOf('i'), { clientId: 'client-i', principalId: 'p' });
      throw new ArmError({ code: 'preconditionFailed' }, 'etag', { status: 412 });
    });
    await at(0);
    assert.deepEqual(records.states(), {});
    needs.length = 0;
    add(need('other', 'j'));
    azure.refuses = false;
    await at(1_000);
    assert.deepEqual(azure.names(), ['i', 'j']);
    assert.deepEqual(records.states(), { j: 'owned' });
  });

  it('leaves no claim on what Azure refused, also where the GET after it failed', async () => {
    const needs = [need('web', 'i')];
    const { at, azure, records } = scopeHarness({ needs });
    azure.refuses = true;
    azure.onWrite.push(() => {
      azure.onRead.push(throwing(new ArmError({ code: 'throttled', of: 'scope', source: 'header', retryAfterSeconds: 300 }, 'slow down')));
      throw new ArmError({ code: 'identityRoleMissing', ids: [idOf('i')] }, 'no role', { status: 403 });
    });
    await at(0);
    assert.deepEqual(records.states(), {});
    azure.list.set(idOf('i'), { clientId: 'client-i', principalId: 'p' });
    await at(301_000);
    needs.length = 0;
    azure.refuses = false;
    for (const time of [700_000, 1_100_000, 1_500_000]) await at(time);
    assert.deepEqual(azure.names(), ['i'], 'a person attached it meanwhile');
  });

  for (const error of [
    Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' }),
    new KubeError(503, 'ServiceUnavailable', 'overloaded'),
  ])
    it(`does not blame Azure when the API server fails: ${error.message}`, async () => {
      const web = need('web', 'i');
      const { at, records, recorded, reasonOf, statusOf } = scopeHarness({ needs: [web] });
      const { load } = records.store;
      records.store.load = async () => {
        throw error;
      };
      const retryMs = await at(0);
      assert.deepEqual(recorded, []);
      assert.equal(reasonOf(web), undefined);
      records.store.load = load;
      await at(retryMs);
      assert.equal(statusOf(web), 'Assigned');
    });

  const mendable: [title: string, call: 'load' | 'save', error: Error][] = [
    ['may not be written', 'save', new KubeError(403, 'Forbidden', 'configmaps is forbidden')],
    ['cannot be understood', 'load', new OwnershipRecordError('data.identities is not JSON')],
  ];
  for (const [title, call, error] of mendable)
    it(`writes on the waiting objects that the ownership record ${title}`, async () => {
      const web = need('web', 'i');
      const { at, azure, records, recorded, annotationOf, reasonOf } = scopeHarness({ needs: [web] });
      records.store[call] = async () => {
        throw error;
      };
      await at(0);
      assert.equal(reasonOf(web), 'AzureError');
      assert.match(annotationOf(web, 'message') ?? '', new RegExp(error.message));
      assert.ok(recorded.some(({ kind, type }) => kind === 'Pod' && type === 'Warning'));
      assert.deepEqual(azure.writes, []);
    });

  it('blames nobody for an attached identity that Azure no longer knows', async () => {
    const [one, two] = [need('web', 'one'), need('api', 'two')];
    const { at, azure, recorded, annotationOf, reasonOf, statusOf } = scopeHarness({ needs: [one, two], azure: fakeAzure(['ghost']) });
    azure.refuses = true;
    azure.onWrite.push(throwing(gone('ghost')));
    assert.equal(await at(0), 60_000);
    for (const each of [one, two]) {
      assert.equal(reasonOf(each), 'ForeignIdentityBroken');
      const message = annotationOf(each, 'message') ?? '';
      assert.match(message, /detach it from the scale set/);
      assert.ok(!message.includes('ghost'), 'it may be that of another namespace');
    }
    assert.ok(recorded.every(({ reason }) => reason !== 'Quarantined'));
    await at(60_000);
    assert.deepEqual([statusOf(one), statusOf(two)], ['Assigned', 'Assigned'], 'once somebody has detached it');
    assert.deepEqual(azure.writes[1], azure.writes[0], 'both in one write, none apart');
  });

  it('detaches an identity of its own that was deleted while it was attached', async () => {
    const [deleted, good] = [need('web', 'deleted'), need('api', 'good')];
    const { at, add, azure, records, reasonOf, statusOf } = scopeHarness({ needs: [deleted] });
    await at(0);
    azure.refuses = true;
    azure.onWrite.push(throwing(gone('deleted')));
    add(good);
    const next = 1_000 + (await at(1_000));
    assert.equal(reasonOf(good), undefined, 'it is not told of a failure that ends by itself');
    azure.onWrite.push(() => undefined, throwing(notFound('deleted', 400)));
    await at(next + (await at(next)));
    assert.deepEqual(azure.writes.slice(1), [
      { attach: [idOf('good')], detach: [] },
      { attach: [idOf('good')], detach: [idOf('deleted')] },
      { attach: [idOf('deleted')], detach: [] },
    ]);
    assert.deepEqual([statusOf(good), statusOf(deleted), reasonOf(deleted)], ['Assigned', 'Created', 'IdentityNotFound']);
    assert.deepEqual(records.states(), { good: 'owned' });
  });

  it('says so where a deleted identity of its own cannot be detached', async () => {
    const [deleted, good] = [need('web', 'deleted'), need('api', 'good')];
    const { at, add, azure, reasonOf } = scopeHarness({ needs: [deleted] });
    await at(0);
    azure.refuses = true;
    azure.compute.write = async (_scope, write) => {
      azure.writes.push(write);
      throw write.detach.length > 0 ? notFound('deleted', 400) : gone('deleted');
    };
    add(good);
    let now = 1_000;
    for (let tries = 0; tries < 6; tries += 1) now += await at(now);
    assert.equal(reasonOf(good), 'ForeignIdentityBroken');
    assert.ok(now > 60_000, 'it does not try again and again');
  });

  it('writes a locked scope once in ten minutes and names the lock', async () => {
    const web = need('web', 'i');
    const { at, azure, annotationOf, reasonOf } = scopeHarness({ needs: [web] });
    azure.compute.write = async (_scope, write) => {
      azure.writes.push(write);
      throw new ArmError({ code: 'scopeLocked' }, "following scope(s) are locked: '/subscriptions/s/resourceGroups/g'", { status: 409 });
    };
    for (let minute = 0; minute < 20; minute += 1) await at(minute * 60_000);
    assert.equal(azure.writes.length, 2);
    assert.equal(reasonOf(web), 'ScopeLocked');
    assert.match(annotationOf(web, 'message') ?? '', /remove the lock.*resourceGroups\/g/);
  });

  it('reads a scope that answers 400 less and less often', async () => {
    const { at, azure } = scopeHarness({ needs: [need('web', 'i')], options: { random: () => 1 } });
    azure.compute.read = async () => {
      throw errorOf({ status: 400, headers: {}, body: { error: { code: 'BadRequest', message: 'no' } } }, new Date(0));
    };
    const delays: number[] = [];
    for (let now = 0; delays.length < 4; now += delays.at(-1) ?? 0) delays.push(await at(now));
    assert.deepEqual(delays, [1_000, 2_000, 4_000, 8_000]);
  });

  it('takes Assigned back from an identity that others detached for good', async () => {
    const web = need('web', 'i');
    const { at, azure, recorded, reasonOf, statusOf } = scopeHarness({ needs: [web] });
    await at(0);
    assert.equal(statusOf(web), 'Assigned');
    azure.list.clear();
    azure.refuses = true;
    azure.onWrite.push(throwing(new ArmError({ code: 'missingRole', action: 'x' }, 'role is gone', { status: 403 })));
    await at(200_000);
    assert.deepEqual([statusOf(web), reasonOf(web)], ['Created', 'MissingRole']);
    assert.ok(recorded.some(({ kind, reason }) => kind === 'Pod' && reason === 'MissingRole'));
  });

  it('records on each quarantined identity its own cause only', async () => {
    const { at, add, azure, recorded } = scopeHarness({ needs: [need('web', 'a')] });
    azure.refuses = true;
    azure.onWrite.push(throwing(notFound('a', 400)), throwing(notFound('b', 400)));
    await at(0);
    add(need('late', 'b'));
    await at(30_000);
    const causes = recorded.filter(({ reason }) => reason === 'Quarantined').map(({ name, message }) => [name, message.split(': ').at(-1)]);
    assert.deepEqual(causes, [
      ['a', 'a was not found'],
      ['b', 'b was not found'],
    ]);
  });

  it('keeps reason and retry time of a quarantined identity during throttling', async () => {
    const bad = need('web', 'bad');
    const azure = fakeAzure();
    const { at, annotationOf, reasonOf } = scopeHarness({ needs: [bad], azure });
    azure.refuses = true;
    azure.compute.write = async () => {
      throw notFound('bad', 400);
    };
    // Each failure keeps it out for twice as long, in the end for 8 minutes.
    for (const time of [0, 61_000, 200_000, 460_000]) await at(time);
    assert.equal(reasonOf(bad), 'IdentityNotFound');
    const next = annotationOf(bad, 'retry-at');
    assert.ok(next);
    azure.onRead.push(throwing(new ArmError({ code: 'throttled', of: 'scope', source: 'header', retryAfterSeconds: 10 }, 'slow down')));
    const { reads } = azure;
    for (const time of [650_000, 665_000, 760_000]) {
      await at(time);
      assert.deepEqual([reasonOf(bad), annotationOf(bad, 'retry-at')], ['IdentityNotFound', next]);
    }
    assert.ok(azure.reads > reads, 'the scope was throttled');
  });
});
