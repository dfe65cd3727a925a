// The controller's main job, from pods and bindings to Azure and back. Acceptance scenarios are in scenarios.test.ts and tokens.test.ts.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { recordName } from '../../../controller/scopes/ownership.ts';
import { stringAt } from '../../../lib/kube/objects.ts';
import { configMaps, resourcePath } from '../../../lib/kube/resources.ts';
import { clientIds, idOf, pool1 } from '../azure/support.ts';
import type { Stage } from './stage.ts';
import { eventually, notesOf, setStage, statusOf, untilEvent } from './stage.ts';

let stage: Stage;
const farSubscription = '00000000-0000-4000-8000-000000000002';
const farPool = `/subscriptions/${farSubscription}/resourceGroups/Elsewhere/providers/Microsoft.Compute/virtualMachineScaleSets/Far`;

before(async () => {
  stage = await setStage({
    scaleSets: [
      { name: 'Pool1', instances: 2, identity: { type: 'UserAssigned', ids: ['third'] } },
      { name: 'Far', subscription: farSubscription, resourceGroup: 'Elsewhere', instances: 1 },
    ],
  });
  await stage.makeNode('node-0', `azure://${pool1}/virtualMachines/0`);
  await stage.makeNode('node-1', `azure://${pool1.toUpperCase()}/virtualMachines/1`);
  await stage.makeNode('node-far', `azure://${farPool}/virtualMachines/0`);
  await stage.makeNode('node-elsewhere', 'aws:///eu-west-1a/i-1');
  await stage.makeIdentity('reader', { clientID: clientIds.reader });
  await stage.makeIdentity('writer');
  await stage.makeBinding('reader', 'reader', 'read');
  await stage.makeBinding('writer', 'writer', 'write');
  await stage.startController();
});

after(() => stage?.stop());

const assigned = (name: string) => stage.assigned.get(`default/${name}`);
const isStatus = (name: string, status: string) => () => statusOf(assigned(name)) === status;

describe('assignment', () => {
  it('goes from Created to Assigned with the ids that Azure reports, and back to nothing', async () => {
    const before = stage.patches();
    await stage.makePod('life', 'write');
    await stage.until(isStatus('life-default-writer', 'Created'), 'Created');
    await stage.until(isStatus('life-default-writer', 'Assigned'), 'Assigned');
    const object = assigned('life-default-writer');
    assert.deepEqual(object?.metadata.labels, { nodename: 'node-0' });
    assert.deepEqual(object?.metadata.finalizers, ['azureassignedidentity.finalizers.aadpodidentity.k8s.io']);
    assert.equal(notesOf(object, 'clientId'), clientIds.writer);
    assert.equal(notesOf(object, 'scope')?.toLowerCase(), pool1.toLowerCase());
    assert.equal(object?.spec?.azureBindingRef?.metadata.name, 'writer');
    assert.deepEqual(stage.attached(), ['third', 'writer']);
    await untilEvent(
      stage.client,
      'AzureIdentityBinding',
      'writer',
      /^binding applied: Binding writer applied on node node-0 for pod life$/,
    );

    await stage.removePod('life');
    await stage.until(() => assigned('life-default-writer') === undefined, 'gone');
    await stage.until(() => !stage.attached().includes('writer'), 'detached');
    assert.equal(stage.patches() - before, 2);
    assert.deepEqual(stage.attached(), ['third'], 'the foreign identity is still there');
    const record = resourcePath(configMaps, { namespace: 'default', name: recordName(pool1) });
    await eventually(async () => stringAt(await stage.client.call('GET', record), 'data', 'identities') === '{}', 'an empty record');
  });

  it('attaches once for pods on two nodes of one set, and detaches only with the last', async () => {
    const before = stage.patches();
    await Promise.all([stage.makePod('share-0', 'read'), stage.makePod('share-1', 'read', { node: 'node-1' })]);
    await stage.until(() => ['share-0', 'share-1'].every((name) => isStatus(`${name}-default-reader`, 'Assigned')()), 'both Assigned');
    assert.equal(stage.patches() - before, 1);
    await stage.removePod('share-0');
    await stage.until(() => assigned('share-0-default-reader') === undefined, 'the first is gone');
    assert.ok(stage.attached().includes('reader'));
    await stage.removePod('share-1');
    await stage.until(() => !stage.attached().includes('reader'), 'detached with the last');
  });

  it('reaches nodes of another subscription and resource group beside the others (P30)', async () => {
    await stage.makePod('near', 'write');
    await stage.makePod('far', 'write', { node: 'node-far' });
    await stage.until(
      () => isStatus('near-default-writer', 'Assigned')() && isStatus('far-default-writer', 'Assigned')(),
      'Assigned on both sets',
    );
    assert.equal(notesOf(assigned('far-default-writer'), 'scope')?.toLowerCase(), farPool.toLowerCase());
    assert.deepEqual([stage.attached(), stage.attached(farPool)], [['third', 'writer'], ['writer']]);
    await stage.removePod('far');
    await stage.until(() => stage.attached(farPool).length === 0, 'detached from the far set');
    assert.ok(stage.attached().includes('writer'));
    await stage.removePod('near');
    await stage.until(() => !stage.attached().includes('writer'), 'detached');
  });

  it('gives a pod that was not injected nothing', async () => {
    await stage.makePod('bare', 'read', { injected: false });
    await stage.makePod('after-bare', 'read');
    await stage.until(isStatus('after-bare-default-reader', 'Assigned'), 'the pod after it is Assigned');
    assert.equal(assigned('bare-default-reader'), undefined);
    await stage.removePod('bare');
    await stage.removePod('after-bare');
    await stage.until(() => stage.attached().join() === 'third', 'detached');
  });

  it('says on the object and its binding why it cannot work', async () => {
    await stage.makePod('elsewhere', 'read', { node: 'node-elsewhere' });
    await stage.until(() => notesOf(assigned('elsewhere-default-reader'), 'reason') === 'UnsupportedNode', 'UnsupportedNode');
    await stage.makeIdentity('mixed-up', { resourceID: idOf('reader'), clientID: clientIds.writer });
    await stage.makeBinding('mixed-up', 'mixed-up', 'mixed-up');
    await stage.makePod('mixed-up', 'mixed-up');
    await stage.until(() => notesOf(assigned('mixed-up-default-mixed-up'), 'reason') === 'ClientIDMismatch', 'ClientIDMismatch');
    for (const pod of ['elsewhere', 'mixed-up']) await stage.removePod(pod);
    await stage.until(() => [...stage.assigned.values()].length === 0, 'all gone');
    await stage.until(() => stage.attached().join() === 'third', 'detached');
  });

  it('attaches again what somebody else took away, when a pod needs it and it looks', async () => {
    await stage.makePod('drift', 'write');
    await stage.until(isStatus('drift-default-writer', 'Assigned'), 'Assigned');
    await stage.emulator.act({ do: 'wipe', resource: pool1, identities: [idOf('writer')] });
    assert.ok(!stage.attached().includes('writer'));
    await stage.makePod('drift-2', 'read');
    await stage.until(() => stage.attached().includes('writer'), 'attached again');
    await stage.removePod('drift');
    await stage.removePod('drift-2');
    await stage.until(() => [...stage.assigned.values()].length === 0 && stage.attached().join() === 'third', 'all gone');
  });

  it('survives a restart of the API server in the middle', async () => {
    await stage.makePod('restart', 'write');
    await stage.until(isStatus('restart-default-writer', 'Assigned'), 'Assigned');
    await stage.plane.restartApiServer();
    await stage.removePod('restart');
    await stage.until(() => [...stage.assigned.values()].length === 0 && stage.attached().join() === 'third', 'all gone');
  });
});
