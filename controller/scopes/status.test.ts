import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createFakeClock } from '../../common/testing/fake-clock.ts';
import type { Need } from '../../lib/identities/need.ts';
import { fakeEvents } from '../../lib/identities/testing/events.ts';
import { KubeError } from '../../lib/kube/errors.ts';
import { fakeObjects } from '../testing/objects.ts';
import type { FailedStatus } from './status.ts';
import { writeAttachedStatus, writeFailedStatus } from './status.ts';
import { idOf, need, testScope } from './testing/scope.ts';

const attachedAs = (name: string, clientId = `client-${name}`, principalId = 'p') => new Map([[idOf(name), { clientId, principalId }]]);

/** The context and the objects of these needs, all Created. */
function statusOf(needs: Need[]) {
  const { statuses, assignmentOf } = fakeObjects(needs);
  const clock = createFakeClock(0);
  const { events, list: recorded } = fakeEvents();
  let writes = 0;
  const context = {
    scope: testScope,
    isImdsRestricted: () => false,
    assignmentOf,
    events,
    clock,
    statuses: {
      updateStatus: async (...args: Parameters<typeof statuses.updateStatus>) => {
        writes += 1;
        await statuses.updateStatus(...args);
      },
    },
  };
  const annotationsOf = (of: Need) => {
    const entries = Object.entries(assignmentOf(of)?.metadata.annotations ?? {});
    return Object.fromEntries(entries.map(([name, value]) => [name.replace('aadpodidentity.k8s.io/', ''), value]));
  };
  return {
    context,
    recorded,
    annotationsOf,
    statusOf: (of: Need) => assignmentOf(of)?.status,
    get writes() {
      return writes;
    },
    laterOn: () => clock.jump(3_600_000),
  };
}

/** An identity whose author left it to the controller to find out the client id. */
function withoutClientId(of: Need): Need {
  of.match.identity.clientID = '';
  return of;
}

describe('status of an attached identity', () => {
  it('writes the ids that Azure reports, once while they stay the same', async () => {
    const web = withoutClientId(need('web', 'i'));
    const written = statusOf([web]);
    await writeAttachedStatus(written.context, [web], attachedAs('i'));
    written.laterOn();
    await writeAttachedStatus(written.context, [web], attachedAs('i', 'CLIENT-I', 'P'));
    assert.equal(written.writes, 1);
    assert.equal(written.statusOf(web), 'Assigned');
    const annotations = written.annotationsOf(web);
    assert.deepEqual(
      [annotations['client-id'], annotations['object-id'], annotations['assigned-at']],
      ['client-i', 'p', '1970-01-01T00:00:00.000Z'],
    );
  });

  for (const [which, client, principal] of [
    ['client', 'client-new', 'p'],
    ['object', 'client-i', 'principal-new'],
  ])
    it(`keeps Assigned with new ids after a recreation under another ${which} id`, async () => {
      const web = withoutClientId(need('web', 'i'));
      const written = statusOf([web]);
      await writeAttachedStatus(written.context, [web], attachedAs('i'));
      written.laterOn();
      await writeAttachedStatus(written.context, [web], attachedAs('i', client, principal));
      assert.equal(written.statusOf(web), 'Assigned');
      const annotations = written.annotationsOf(web);
      assert.deepEqual(
        [annotations['client-id'], annotations['object-id'], annotations['assigned-at']],
        [client, principal, '1970-01-01T01:00:00.000Z'],
      );
    });

  it('sets Created where spec.clientID is the one from before a recreation', async () => {
    const web = need('web', 'i');
    const written = statusOf([web]);
    await writeAttachedStatus(written.context, [web], attachedAs('i'));
    await writeAttachedStatus(written.context, [web], attachedAs('i', 'client-new'));
    assert.equal(written.statusOf(web), 'Created');
    assert.equal(written.annotationsOf(web).reason, 'ClientIDMismatch');
    const told = written.recorded.filter(({ reason }) => reason === 'ClientIDMismatch');
    assert.deepEqual(told.map(({ kind }) => kind).sort(), ['AzureIdentity', 'Pod']);
    for (const { message } of told) assert.match(message, /set spec\.clientID to that \(kubectl patch .*"clientID":"client-new"/);
  });
});

describe('status of an identity that could not be attached', () => {
  const locked = { reason: 'DenyAssignment' as const, message: 'locked' };
  const red = (failure: FailedStatus) => (id: string) => (id === idOf('red') ? failure : undefined);

  async function assigned() {
    const web = need('web', 'red');
    const written = statusOf([web]);
    await writeAttachedStatus(written.context, [web], attachedAs('red'));
    return { web, ...written };
  }

  it('sets Created with the reason for an identity that the scope lost', async () => {
    const { web, context, statusOf, annotationsOf, recorded } = await assigned();
    await writeFailedStatus(context, [web], red(locked), new Map());
    assert.equal(statusOf(web), 'Created');
    assert.equal(annotationsOf(web).reason, 'DenyAssignment');
    assert.ok(recorded.some(({ kind, reason }) => kind === 'Pod' && reason === 'DenyAssignment'));
  });

  for (const [why, reason, attached] of [
    ['the scope still has the identity', 'DenyAssignment', attachedAs('red')],
    ['it is unknown what the scope has', 'DenyAssignment', undefined],
    ['another writer was only faster', 'Attaching', new Map()],
  ] as const)
    it(`keeps Assigned where ${why}`, async () => {
      const { web, context, statusOf, annotationsOf } = await assigned();
      await writeFailedStatus(context, [web], red({ ...locked, reason }), attached);
      assert.equal(statusOf(web), 'Assigned');
      assert.equal(annotationsOf(web).reason, undefined);
    });

  it('writes a failed status although the object of another pod is gone', async () => {
    const needs = [need('gone', 'red'), need('web', 'red')];
    const { context, annotationsOf } = statusOf(needs);
    const { updateStatus } = context.statuses;
    context.statuses.updateStatus = async (current, ...changes) => {
      if (current.podKey === 'app/gone') throw new KubeError(404, 'NotFound', 'gone');
      await updateStatus(current, ...changes);
    };
    await writeFailedStatus(context, needs, red(locked));
    assert.deepEqual(
      needs.map((each) => annotationsOf(each).reason),
      [undefined, 'DenyAssignment'],
    );
  });
});
