// Scenarios of assignment from the end-to-end tests of aad-pod-identity, by the numbers of docs/reference/aad-pod-identity.md#acceptance-scenarios, and
// its defects of assignment. Scenarios that need a token are in tokens.test.ts.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { azureAssignedIdentities, azureIdentities } from '../../../lib/kube/resources.ts';
import { clientIds, idOf, pool1 } from '../azure/fixtures.ts';
import type { Harness } from './harness/harness.ts';
import { startHarness } from './harness/harness.ts';
import { statusOf } from './harness/observations.ts';

let harness: Harness;
const colours = ['red', 'green', 'blue'];

before(async () => {
  harness = await startHarness({
    azure: {
      identities: [...Object.entries(clientIds).map(([name, clientId]) => ({ name, clientId })), ...colours.map((name) => ({ name }))],
    },
  });
  await harness.createNode('node-0', `azure://${pool1}/virtualMachines/0`);
  await harness.createNode('node-1', `azure://${pool1}/virtualMachines/1`);
  for (const name of colours) {
    await harness.createIdentity(name);
    await harness.createBinding(name, name, name);
  }
  await harness.startController(['--identity-assignment-reconcile-interval=1']);
});
after(() => harness?.stop());

describe('the controller', () => {
  it('releases the identity of a deleted pod (E04)', async () => {
    await harness.createPod('e04', 'red');
    await harness.untilAssigned('e04-default-red');
    await harness.deletePod('e04');
    await harness.untilReleased();
  });

  it('detaches with the last pod of a scale set, not with the first (E12)', async () => {
    await harness.createPod('e12-a', 'red');
    await harness.createPod('e12-b', 'red', { node: 'node-1' });
    await harness.untilAssigned('e12-a-default-red', 'e12-b-default-red');
    await harness.deletePod('e12-a');
    await harness.until(() => harness.count() === 1, 'one left');
    assert.ok(harness.attached().includes('red'));
    await harness.deletePod('e12-b');
    await harness.untilReleased();
  });

  it('keeps an identity for a pod of the same name in another namespace', async () => {
    await harness.createNamespace('twin');
    await harness.createPod('web-0', 'red');
    await harness.createPod('web-0', 'red', { namespace: 'twin' });
    await harness.untilAssigned('web-0-default-red', 'web-0-twin-red');
    const since = harness.emulator.log.last;
    await harness.deletePod('web-0');
    await harness.until(() => harness.count() === 1, 'one left');
    await harness.createPod('after', 'green');
    await harness.untilAssigned('after-default-green');
    const removals = harness.armRequests(since).filter((entry) => JSON.stringify(entry).includes('red":null'));
    assert.deepEqual(removals, []);
    await harness.deletePod('web-0', 'twin');
    await harness.deletePod('after');
    await harness.untilReleased();
  });

  it('takes resource ids that differ only in case for one identity', async () => {
    await harness.createIdentity('shouting', { resourceID: idOf('red').toUpperCase() });
    await harness.createBinding('shouting', 'shouting', 'shouting');
    await harness.createPod('quiet', 'red');
    await harness.createPod('loud', 'shouting');
    await harness.untilAssigned('quiet-default-red', 'loud-default-shouting');
    await harness.deletePod('loud');
    await harness.until(() => harness.count() === 1, 'one left');
    assert.ok(harness.attached().includes('red'));
    await harness.deletePod('quiet');
    await harness.untilReleased();
  });

  it('releases a pod whose identity was detached by hand (E13)', async () => {
    await harness.createPod('e13', 'red');
    await harness.untilAssigned('e13-default-red');
    await harness.emulator.act({ do: 'wipe', resource: pool1, identities: [idOf('red')] });
    await harness.deletePod('e13');
    await harness.untilReleased();
  });

  it('finds the bad identity in a resource group with dots and parentheses', async () => {
    await harness.createIdentity('odd', { resourceID: idOf('nobody').replace('/resourceGroups/Nodes/', '/resourceGroups/my.group(1)/') });
    await harness.createBinding('odd', 'odd', 'odd');
    await harness.createBinding('odd-good', 'green', 'odd');
    await harness.createPod('odd', 'odd');
    await harness.untilAssigned('odd-default-green');
    await harness.untilReason('odd-default-odd', 'IdentityNotFound');
    await harness.deletePod('odd');
    await harness.untilReleased();
  });

  it('assigns again an object that somebody set to Unassigned', async () => {
    await harness.createPod('stuck', 'red');
    await harness.untilAssigned('stuck-default-red');
    await harness.patch(azureAssignedIdentities, 'stuck-default-red', { status: { status: 'Unassigned' } });
    await harness.until(() => harness.status('stuck-default-red') !== 'Assigned', 'seen');
    await harness.untilAssigned('stuck-default-red');
    await harness.deletePod('stuck');
    await harness.untilReleased();
  });

  it('detaches for a pod that is deleted while its object is Created', async () => {
    harness.emulator.addFault({ fault: 'operation', ms: 700 });
    const since = harness.emulator.log.last;
    await harness.createPod('brief', 'red');
    await harness.untilArmRequest(({ method }) => method === 'PATCH', since);
    assert.equal(harness.status('brief-default-red'), 'Created');
    await harness.deletePod('brief');
    await harness.untilReleased();
  });

  it('moves objects to the namespace of an identity that becomes namespaced', async () => {
    await harness.createNamespace('mode');
    await harness.createIdentity('blue', {}, { namespace: 'mode' });
    await harness.createBinding('blue', 'blue', 'mode', 'mode');
    await harness.createPod('mode', 'mode', { namespace: 'mode' });
    await harness.untilAssigned('mode-mode-blue');
    const namespaced = { metadata: { annotations: { 'aadpodidentity.k8s.io/Behavior': 'namespaced' } } };
    await harness.patch(azureIdentities, 'blue', namespaced, 'mode');
    await harness.until(
      () => statusOf(harness.assigned.get('mode/mode-mode-blue')) === 'Assigned' && harness.find('mode-mode-blue') === undefined,
      'moved',
    );
    assert.ok(harness.attached().includes('blue'));
    await harness.deletePod('mode', 'mode');
    await harness.untilReleased();
  });

  it('deletes the object while Azure fails, and detaches after that', async () => {
    await harness.createPod('down', 'red');
    await harness.untilAssigned('down-default-red');
    const since = harness.emulator.log.last;
    const fault = harness.emulator.addFault({ fault: 'answer', service: 'arm', status: 500, body: 'down' });
    await harness.deletePod('down');
    await harness.until(() => harness.count() === 0, 'the object does not wait for Azure');
    await harness.untilArmRequest(() => true, since);
    assert.ok(harness.attached().includes('red'));
    harness.emulator.removeFaults(fault);
    await harness.untilReleased();
  });
});
