// From pods and bindings to attached identities, and back.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { recordName } from '../../../controller/scopes/ownership.ts';
import { stringAt } from '../../../lib/kube/objects.ts';
import { azureIdentities, configMaps, resourcePath } from '../../../lib/kube/resources.ts';
import { eventually } from '../../harness/wait.ts';
import { clientIds, idOf, pool1 } from '../azure/fixtures.ts';
import type { Harness } from './harness/harness.ts';
import { startHarness } from './harness/harness.ts';
import { annotationOf } from './harness/observations.ts';

let harness: Harness;
const farSubscription = '00000000-0000-4000-8000-000000000002';
const farPool = `/subscriptions/${farSubscription}/resourceGroups/Elsewhere/providers/Microsoft.Compute/virtualMachineScaleSets/Far`;

before(async () => {
  harness = await startHarness({
    azure: {
      scaleSets: [
        { name: 'Pool1', instances: 2, identity: { type: 'UserAssigned', ids: ['third'] } },
        { name: 'Far', subscription: farSubscription, resourceGroup: 'Elsewhere', instances: 1 },
      ],
    },
  });
  await harness.createNode('node-0', `azure://${pool1}/virtualMachines/0`);
  await harness.createNode('node-1', `azure://${pool1.toUpperCase()}/virtualMachines/1`);
  await harness.createNode('node-far', `azure://${farPool}/virtualMachines/0`);
  await harness.createNode('node-elsewhere', 'aws:///eu-west-1a/i-1');
  await harness.createIdentity('reader', { clientID: clientIds.reader });
  await harness.createIdentity('writer');
  await harness.createBinding('reader', 'reader', 'read');
  await harness.createBinding('writer', 'writer', 'write');
  await harness.startController();
});

after(() => harness?.stop());

describe('the controller', () => {
  it('assigns an identity to a pod and detaches it after the pod is deleted', async () => {
    const before = harness.patches();
    await harness.createPod('life', 'write');
    await harness.until(() => harness.status('life-default-writer') === 'Created', 'Created');
    await harness.untilAssigned('life-default-writer');
    const object = harness.find('life-default-writer');
    assert.deepEqual(object?.metadata.labels, { nodename: 'node-0' });
    assert.deepEqual(object?.metadata.finalizers, ['azureassignedidentity.finalizers.aadpodidentity.k8s.io']);
    assert.equal(annotationOf(object, 'clientId'), clientIds.writer);
    assert.equal(annotationOf(object, 'scope')?.toLowerCase(), pool1.toLowerCase());
    assert.equal(object?.spec?.azureBindingRef?.metadata.name, 'writer');
    assert.deepEqual(harness.attached(), ['third', 'writer']);
    await harness.untilEvent('AzureIdentityBinding', 'writer', /^binding applied: Binding writer applied on node node-0 for pod life$/);

    await harness.deletePod('life');
    await harness.untilReleased();
    assert.equal(harness.patches() - before, 2);
    const record = resourcePath(configMaps, { namespace: 'default', name: recordName(pool1) });
    await eventually(async () => stringAt(await harness.client.call('GET', record), 'data', 'identities') === '{}', 'an empty record');
  });

  it('copies short fields of a large identity, and does not write the object again', async () => {
    const large = { name: 'large', annotations: { note: 'x'.repeat(200_000) }, labels: { team: 'a' } };
    await harness.createIdentity('large', { resourceID: idOf('writer'), adResourceID: 'y'.repeat(2_000), auxiliaryTenantIDs: null }, large);
    await harness.createBinding('large', 'large', 'large');
    await harness.createPod('first', 'large');
    await harness.untilAssigned('first-default-large');
    const before = harness.find('first-default-large');
    assert.ok(JSON.stringify(before).length < 8_192);
    const { name, namespace, uid, resourceVersion, ...rest } = before?.spec?.azureIdentityRef?.metadata ?? {};
    assert.deepEqual([name, namespace, typeof uid, typeof resourceVersion, rest], ['large', 'default', 'string', 'string', {}]);
    assert.deepEqual(before?.spec?.azureIdentityRef?.spec, { type: 0, resourceID: idOf('writer') });
    await harness.patch(azureIdentities, 'large', { metadata: { annotations: { note: 'other' } } });
    // The object of a second pod shows that the controller has processed the change.
    await harness.createPod('second', 'large');
    await harness.untilAssigned('second-default-large');
    assert.equal(harness.find('first-default-large')?.metadata.resourceVersion, before?.metadata.resourceVersion);
    for (const pod of ['first', 'second']) await harness.deletePod(pod);
    await harness.untilReleased();
  });

  it('attaches once for pods on two nodes of one set, and detaches with the last', async () => {
    const before = harness.patches();
    await Promise.all([harness.createPod('share-0', 'read'), harness.createPod('share-1', 'read', { node: 'node-1' })]);
    await harness.untilAssigned('share-0-default-reader', 'share-1-default-reader');
    assert.equal(harness.patches() - before, 1);
    await harness.deletePod('share-0');
    await harness.until(() => harness.count() === 1, 'the first is gone');
    assert.ok(harness.attached().includes('reader'));
    await harness.deletePod('share-1');
    await harness.untilReleased();
  });

  it('attaches to scale sets of two subscriptions and resource groups', async () => {
    await harness.createPod('near', 'write');
    await harness.createPod('far', 'write', { node: 'node-far' });
    await harness.untilAssigned('near-default-writer', 'far-default-writer');
    assert.equal(annotationOf(harness.find('far-default-writer'), 'scope')?.toLowerCase(), farPool.toLowerCase());
    assert.deepEqual([harness.attached(), harness.attached(farPool)], [['third', 'writer'], ['writer']]);
    await harness.deletePod('far');
    await harness.until(() => harness.attached(farPool).length === 0, 'detached from the far set');
    assert.ok(harness.attached().includes('writer'));
    await harness.deletePod('near');
    await harness.untilReleased();
  });

  it('assigns nothing to a pod that was not injected', async () => {
    await harness.createPod('bare', 'read', { injected: false });
    await harness.createPod('after-bare', 'read');
    await harness.untilAssigned('after-bare-default-reader');
    assert.equal(harness.find('bare-default-reader'), undefined);
    for (const pod of ['bare', 'after-bare']) await harness.deletePod(pod);
    await harness.untilReleased();
  });

  it('writes the reason to the object when it cannot assign', async () => {
    await harness.createPod('elsewhere', 'read', { node: 'node-elsewhere' });
    await harness.untilReason('elsewhere-default-reader', 'UnsupportedNode');
    await harness.createIdentity('mixed-up', { resourceID: idOf('reader'), clientID: clientIds.writer });
    await harness.createBinding('mixed-up', 'mixed-up', 'mixed-up');
    await harness.createPod('mixed-up', 'mixed-up');
    await harness.untilReason('mixed-up-default-mixed-up', 'ClientIDMismatch');
    for (const pod of ['elsewhere', 'mixed-up']) await harness.deletePod(pod);
    await harness.untilReleased();
  });

  it('attaches again what another writer detached, at its next write', async () => {
    await harness.createPod('drift', 'write');
    await harness.untilAssigned('drift-default-writer');
    await harness.emulator.act({ do: 'wipe', resource: pool1, identities: [idOf('writer')] });
    assert.ok(!harness.attached().includes('writer'));
    await harness.createPod('drift-2', 'read');
    await harness.until(() => harness.attached().includes('writer'), 'attached again');
    for (const pod of ['drift', 'drift-2']) await harness.deletePod(pod);
    await harness.untilReleased();
  });

  it('releases a pod after a restart of the API server', async () => {
    await harness.createPod('restart', 'write');
    await harness.untilAssigned('restart-default-writer');
    await harness.plane.restartApiServer();
    await harness.deletePod('restart');
    await harness.untilReleased();
  });
});
