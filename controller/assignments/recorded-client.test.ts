// What people and dashboards learn of a write: upstream's reasons and metric names.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { heardEvents } from '../../lib/identities/testing/events.ts';
import { assignment, binding, identity, pod } from '../../lib/identities/testing/fixtures.ts';
import { KubeError } from '../../lib/kube/errors.ts';
import { createRegistry } from '../../lib/metrics.ts';
import { createMeasures } from '../metrics/instruments.ts';
import type { AssignedIdentities } from './client.ts';
import { observeWrites } from './observed-client.ts';

const match = { identity: identity('app/i'), binding: binding('app/b', 'i') };
const current = assignment(pod(), match.identity, match.binding);

function observed(answer: () => Promise<void>) {
  const heard = heardEvents();
  const registry = createRegistry();
  const objects: AssignedIdentities = { create: answer, update: answer, updateStatus: answer, release: answer };
  const value = async (name: string) => {
    const lines = (await registry.metrics()).split('\n').filter((line) => line.startsWith(`aadpodidentity_${name}`));
    return lines.map((line) => line.split(' ').at(-1)).join();
  };
  return { objects: observeWrites(objects, heard.events, createMeasures(registry)), heard: heard.list, value };
}

const runs: [name: string, (objects: AssignedIdentities) => Promise<void>, told: string, type: string][] = [
  [
    'create',
    (objects) => objects.create(pod(), match, 'n', 'default'),
    'AzureIdentityBinding b: binding apply error',
    'assigned_identity_addition',
  ],
  [
    'update',
    (objects) => objects.update(pod(), match, current, true),
    'AzureIdentityBinding b: binding apply error',
    'assigned_identity_update',
  ],
  ['release', (objects) => objects.release(current), 'AzureIdentityBinding b: binding remove error', 'assigned_identity_deletion'],
  [
    'updateStatus',
    (objects) => objects.updateStatus(current, 'Assigned', {}),
    'AzureAssignedIdentity web-app-i: status update error',
    'update_azure_assigned_identity_status',
  ],
];

describe('writes of AzureAssignedIdentities', () => {
  for (const [name, run, told, type] of runs) {
    it(`tell and count a failed ${name}, and pass the error on`, async () => {
      const { objects, heard, value } = observed(async () => {
        throw new KubeError(403, 'Forbidden', 'not allowed');
      });
      await assert.rejects(run(objects), /not allowed/);
      assert.deepEqual(
        heard.map((event) => `${event.kind} ${event.name}: ${event.reason}`),
        [told],
      );
      assert.match(heard[0]?.message ?? '', /error: not allowed$/);
      assert.equal(await value(`kubernetes_api_operations_errors_count{operation_type="${type}"}`), '1');
    });

    it(`say nothing where a ${name} only lost a race`, async () => {
      const { objects, heard, value } = observed(async () => {
        throw new KubeError(409, 'Conflict', 'changed');
      });
      await assert.rejects(run(objects), /changed/);
      assert.deepEqual(heard, []);
      assert.equal(await value('kubernetes_api_operations_errors_count{'), '');
    });
  }

  it('count what succeeded and tell the binding that it was removed', async () => {
    const { objects, heard, value } = observed(async () => undefined);
    for (const [, run] of runs) await run(objects);
    assert.deepEqual(
      heard.map((event) => `${event.reason}: ${event.message}`),
      ['binding removed: Binding b removed from node n1 for pod web'],
    );
    for (const name of ['addition', 'update', 'deletion']) {
      assert.equal(await value(`assigned_identity_${name}_count`), '1');
      assert.equal(await value(`assigned_identity_${name}_duration_seconds_count`), '1');
    }
  });
});
