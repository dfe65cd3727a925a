// What the objects of a scope are told, object by object, about what Azure has and has not.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Need } from '../../lib/identities/need.ts';
import { heardEvents } from '../../lib/identities/testing/events.ts';
import { KubeError } from '../../lib/kube/errors.ts';
import { markAttached, markFailed } from './status.ts';
import { fakeObjects, idOf, need, testScope } from './testing/scope.ts';

const attachedAs = (name: string, clientId = `client-${name}`, principalId = 'p') => new Map([[idOf(name), { clientId, principalId }]]);

/** Marks the objects of these needs as they stand. */
function marking(needs: Need[]) {
  const { objects, assignmentOf } = fakeObjects(needs);
  const { events, list: heard } = heardEvents();
  let writes = 0;
  let hour = 0;
  const context = {
    scope: testScope,
    assignmentOf,
    events,
    now: () => new Date(hour * 3_600_000),
    objects: {
      ...objects,
      updateStatus: async (...args: Parameters<typeof objects.updateStatus>) => {
        writes += 1;
        await objects.updateStatus(...args);
      },
    },
  };
  const notesOf = (of: Need) => {
    const entries = Object.entries(assignmentOf(of)?.metadata.annotations ?? {});
    return Object.fromEntries(entries.map(([name, value]) => [name.replace('aadpodidentity.k8s.io/', ''), value]));
  };
  return {
    context,
    heard,
    notesOf,
    statusOf: (of: Need) => assignmentOf(of)?.status,
    get writes() {
      return writes;
    },
    laterOn: () => {
      hour += 1;
    },
  };
}

/** An identity whose author left it to the controller to find out the client id. */
function withoutClientId(of: Need): Need {
  of.match.identity.clientID = '';
  return of;
}

describe('the object of an identity that is attached', () => {
  it('tells the ids that Azure reports, and is written no more while they stay, in whatever case they are spelt', async () => {
    const web = withoutClientId(need('web', 'i'));
    const marked = marking([web]);
    await markAttached(marked.context, [web], attachedAs('i'));
    marked.laterOn();
    await markAttached(marked.context, [web], attachedAs('i', 'CLIENT-I', 'P'));
    assert.equal(marked.writes, 1);
    assert.equal(marked.statusOf(web), 'Assigned');
    const notes = marked.notesOf(web);
    assert.deepEqual([notes['client-id'], notes['object-id'], notes['assigned-at']], ['client-i', 'p', '1970-01-01T00:00:00.000Z']);
  });

  for (const [which, client, principal] of [
    ['client', 'client-new', 'p'],
    ['object', 'client-i', 'principal-new'],
  ])
    it(`stays Assigned and tells the new ids once the identity was recreated under another ${which} id`, async () => {
      const web = withoutClientId(need('web', 'i'));
      const marked = marking([web]);
      await markAttached(marked.context, [web], attachedAs('i'));
      marked.laterOn();
      await markAttached(marked.context, [web], attachedAs('i', client, principal));
      assert.equal(marked.statusOf(web), 'Assigned');
      const notes = marked.notesOf(web);
      assert.deepEqual([notes['client-id'], notes['object-id'], notes['assigned-at']], [client, principal, '1970-01-01T01:00:00.000Z']);
    });

  it('goes back to Created and says why where the identity was recreated and spec.clientID is still the old one', async () => {
    const web = need('web', 'i');
    const marked = marking([web]);
    await markAttached(marked.context, [web], attachedAs('i'));
    await markAttached(marked.context, [web], attachedAs('i', 'client-new'));
    assert.equal(marked.statusOf(web), 'Created');
    assert.equal(marked.notesOf(web).reason, 'ClientIDMismatch');
    assert.ok(marked.heard.some(({ kind, reason }) => kind === 'AzureIdentity' && reason === 'ClientIDMismatch'));
  });
});

describe('the object of an identity that could not be attached', () => {
  const locked = { reason: 'DenyAssignment' as const, message: 'locked' };
  const red = new Set([idOf('red')]);

  async function assigned() {
    const web = need('web', 'red');
    const marked = marking([web]);
    await markAttached(marked.context, [web], attachedAs('red'));
    return { web, ...marked };
  }

  it('goes back from Assigned to Created and says why where the scope has the identity no more', async () => {
    const { web, context, statusOf, notesOf, heard } = await assigned();
    await markFailed(context, [web], red, { ...locked, attached: new Map() });
    assert.equal(statusOf(web), 'Created');
    assert.equal(notesOf(web).reason, 'DenyAssignment');
    assert.ok(heard.some(({ kind, reason }) => kind === 'Pod' && reason === 'DenyAssignment'));
  });

  for (const [why, failure] of [
    ['the scope still has the identity', { ...locked, attached: attachedAs('red') }],
    ['nobody knows what the scope has', locked],
    ['another writer was only faster', { ...locked, reason: 'Attaching' as const, attached: new Map() }],
  ] as const)
    it(`stays Assigned where ${why}`, async () => {
      const { web, context, statusOf, notesOf } = await assigned();
      await markFailed(context, [web], red, failure);
      assert.equal(statusOf(web), 'Assigned');
      assert.equal(notesOf(web).reason, undefined);
    });

  it('is told though the API server does not take that of another pod', async () => {
    const needs = [need('gone', 'red'), need('web', 'red')];
    const { context, notesOf } = marking(needs);
    const { updateStatus } = context.objects;
    context.objects.updateStatus = async (current, ...notes) => {
      if (current.podKey === 'app/gone') throw new KubeError(404, 'NotFound', 'gone');
      await updateStatus(current, ...notes);
    };
    await markFailed(context, needs, red, locked);
    assert.deepEqual(
      needs.map((each) => notesOf(each).reason),
      [undefined, 'DenyAssignment'],
    );
  });
});
