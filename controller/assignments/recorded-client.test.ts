import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fakeEvents } from '../../lib/identities/testing/events.ts';
import { assignment, binding, identity, pod } from '../../lib/identities/testing/fixtures.ts';
import { KubeError } from '../../lib/kube/errors.ts';
import { createRegistry } from '../../lib/metrics.ts';
import { createInstruments } from '../metrics/instruments.ts';
import type { AssignmentClient } from './client.ts';
import { recordWrites } from './recorded-client.ts';

const match = { identity: identity('app/i'), binding: binding('app/b', 'i') };
const current = assignment(pod(), match.identity, match.binding);

/** A client whose every method does the same. */
function recorded(answer: () => Promise<void>) {
  const { events, list } = fakeEvents();
  const registry = createRegistry();
  const client = recordWrites(
    { create: answer, update: answer, updateStatus: answer, release: answer },
    { events, instruments: createInstruments(registry) },
  );
  const value = async (name: string) => {
    const lines = (await registry.metrics()).split('\n').filter((line) => line.startsWith(`aadpodidentity_${name}`));
    return lines.map((line) => line.split(' ').at(-1)).join();
  };
  return { client, events: list, value };
}

const writes: [name: string, write: (client: AssignmentClient) => Promise<void>, event: string, type: string][] = [
  [
    'create',
    (client) => client.create(pod(), match, 'n', 'default'),
    'AzureIdentityBinding b: binding apply error',
    'assigned_identity_addition',
  ],
  [
    'update',
    (client) => client.update(pod(), match, current, true),
    'AzureIdentityBinding b: binding apply error',
    'assigned_identity_update',
  ],
  ['release', (client) => client.release(current), 'AzureIdentityBinding b: binding remove error', 'assigned_identity_deletion'],
  [
    'updateStatus',
    (client) => client.updateStatus(current, 'Assigned', {}),
    'AzureAssignedIdentity web-app-i: status update error',
    'update_azure_assigned_identity_status',
  ],
];

describe('recordWrites', () => {
  for (const [name, write, event, type] of writes) {
    it(`records a failed ${name} in an Event and a counter, and rejects`, async () => {
      const { client, events, value } = recorded(async () => {
        throw new KubeError(403, 'Forbidden', 'not allowed');
      });
      await assert.rejects(write(client), /not allowed/);
      assert.deepEqual(
        events.map((each) => `${each.kind} ${each.name}: ${each.reason}`),
        [event],
      );
      assert.match(events[0]?.message ?? '', /error: not allowed$/);
      assert.equal(await value(`kubernetes_api_operations_errors_count{operation_type="${type}"}`), '1');
    });

    it(`records nothing where a ${name} meets a conflict`, async () => {
      const { client, events, value } = recorded(async () => {
        throw new KubeError(409, 'Conflict', 'changed');
      });
      await assert.rejects(write(client), /changed/);
      assert.deepEqual(events, []);
      assert.equal(await value('kubernetes_api_operations_errors_count{'), '');
    });
  }

  it('records nothing where an object may not be created in a namespace that ends', async () => {
    const { client, events, value } = recorded(async () => {
      throw new KubeError(403, 'Forbidden', 'forbidden: unable to create new content in namespace app because it is being terminated');
    });
    for (const [, write] of writes) await assert.rejects(write(client), /terminated/);
    assert.deepEqual(events, []);
    assert.equal(await value('kubernetes_api_operations_errors_count{'), '');
  });

  it('counts successful writes, and records the removal of a binding', async () => {
    const { client, events, value } = recorded(async () => undefined);
    for (const [, write] of writes) await write(client);
    assert.deepEqual(
      events.map((event) => `${event.reason}: ${event.message}`),
      ['binding removed: Binding b removed from node n1 for pod web'],
    );
    for (const name of ['addition', 'update', 'deletion']) {
      assert.equal(await value(`assigned_identity_${name}_count`), '1');
      assert.equal(await value(`assigned_identity_${name}_duration_seconds_count`), '1');
    }
  });
});
