// How an assignment ends: with its pod, with its node, with its object.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { annotations } from '../../../api/names.ts';
import { mergePatch } from '../../../lib/kube/client.ts';
import { at, metadataOf } from '../../../lib/kube/objects.ts';
import {
  azureAssignedIdentities,
  azureIdentities,
  configMaps,
  namespaces,
  nodes,
  pods,
  resourcePath,
} from '../../../lib/kube/resources.ts';
import type { RunningProgram } from '../../harness/program.ts';
import { eventually } from '../../harness/wait.ts';
import { pool1 } from '../azure/fixtures.ts';
import type { Harness } from './harness/harness.ts';
import { startHarness } from './harness/harness.ts';
import { isAbsent } from './harness/objects.ts';
import { annotationOf, statusOf } from './harness/observations.ts';

let harness: Harness;
let controller: RunningProgram;

before(async () => {
  harness = await startHarness();
  for (const index of [0, 1]) await harness.createNode(`node-${index}`, `azure://${pool1}/virtualMachines/${index}`);
  await harness.createIdentity('writer');
  await harness.createBinding('writer', 'writer', 'write');
  controller = await harness.startController();
});

after(() => harness?.stop());

const nameOf = (pod: string) => `${pod}-default-writer`;

describe('an assignment', () => {
  for (const phase of ['Succeeded', 'Failed'])
    it(`ends when its pod has ${phase.toLowerCase()}, before the pod is deleted`, async () => {
      const pod = `job-${phase.toLowerCase()}`;
      await harness.createPod(pod, 'write');
      await harness.untilAssigned(nameOf(pod));
      const path = `${resourcePath(pods, { namespace: 'default', name: pod })}/status`;
      await harness.client.call('PATCH', path, { contentType: mergePatch, body: { status: { phase } } });
      await harness.untilReleased();
      await harness.deletePod(pod);
    });

  it('stays Assigned while its pod terminates', async () => {
    await harness.createPod('terminating', 'write');
    await harness.untilAssigned('terminating-default-writer');
    const path = resourcePath(pods, { namespace: 'default', name: 'terminating' });
    await harness.client.call('DELETE', path, { body: { gracePeriodSeconds: 300 } });
    // Another pod's way to Assigned shows that the controller has seen the deletion.
    await harness.createPod('witness', 'write');
    await harness.untilAssigned('witness-default-writer');
    assert.equal(harness.status('terminating-default-writer'), 'Assigned');
    for (const pod of ['terminating', 'witness']) await harness.deletePod(pod);
    await harness.untilReleased();
  });

  it('is not made again in a namespace that is being deleted, and nothing warns of it', async () => {
    const name = 'held-ending-writer';
    await harness.createNamespace('ending');
    await harness.createIdentity('writer', {}, { namespace: 'ending', annotations: { [annotations.behavior]: 'namespaced' } });
    await harness.createBinding('writer', 'writer', 'end', 'ending');
    await harness.createPod('held', 'end', { namespace: 'ending' });
    await harness.patch(pods, 'held', { metadata: { finalizers: ['example.com/hold'] } }, 'ending');
    const find = () => harness.assigned.get(`ending/${name}`);
    await harness.until(() => statusOf(find()) === 'Assigned', 'the pod has its identity');
    await harness.client.call('DELETE', resourcePath(namespaces, { name: 'ending' }));
    await harness.delete(azureAssignedIdentities, name, 'ending');
    await harness.until(() => find() === undefined, 'the object is gone');
    // Another pod's way to Assigned shows that the controller has tried to make the object again.
    await harness.createPod('other', 'write');
    await harness.untilAssigned(nameOf('other'));
    assert.deepEqual(
      controller.log.filter((record) => /terminated/.test(String(record.error))),
      [],
    );
    await harness.deletePod('other');
    await harness.patch(pods, 'held', { metadata: { finalizers: null } }, 'ending');
    await harness.deletePod('held', 'ending');
    await eventually(() => isAbsent(harness.client, resourcePath(namespaces, { name: 'ending' })), 'the namespace is gone');
    await harness.untilReleased();
  });

  it('ends after its node and its pod are deleted while no controller runs', async () => {
    await harness.createNode('node-2', `azure://${pool1}/virtualMachines/2`);
    await harness.createPod('unseen', 'write', { node: 'node-2' });
    await harness.untilAssigned('unseen-default-writer');
    await controller.stop('SIGKILL');
    await harness.client.call('DELETE', resourcePath(nodes, { name: 'node-2' }));
    await harness.deletePod('unseen');
    controller = await harness.startController();
    await harness.untilReleased();
  });

  it('comes back without a PATCH when its object is deleted but its pod lives', async () => {
    await harness.createPod('deleted', 'write');
    await harness.untilAssigned('deleted-default-writer');
    const before = harness.patches();
    const name = nameOf('deleted');
    const uid = harness.find(name)?.metadata.uid;
    await harness.delete(azureAssignedIdentities, name);
    await harness.until(() => harness.status(name) === 'Assigned' && harness.find(name)?.metadata.uid !== uid, 'a new object is Assigned');
    assert.equal(harness.patches(), before);
    await harness.deletePod('deleted');
    await harness.untilReleased();
  });

  it('keeps a finalizer of somebody else and is detached meanwhile', async () => {
    await harness.createPod('theirs', 'write');
    await harness.untilAssigned('theirs-default-writer');
    const name = nameOf('theirs');
    const { finalizers = [] } = harness.find(name)?.metadata ?? {};
    await harness.patch(azureAssignedIdentities, name, { metadata: { finalizers: [...finalizers, 'example.com/theirs'] } });
    await harness.deletePod('theirs');
    await harness.until(() => harness.find(name)?.metadata.finalizers?.join() === 'example.com/theirs', 'only theirs is left');
    await harness.until(() => harness.attached().join() === 'third', 'detached meanwhile');
    await harness.patch(azureAssignedIdentities, name, { metadata: { finalizers: null } });
    await harness.untilReleased();
  });

  it('moves to a new pod of the same name, with its uid', async () => {
    await harness.createPod('again', 'write');
    await harness.untilAssigned('again-default-writer');
    const uid = () => annotationOf(harness.find(nameOf('again')), 'podUid');
    const before = uid();
    await harness.deletePod('again');
    await harness.createPod('again', 'write');
    await harness.until(() => harness.status(nameOf('again')) === 'Assigned' && uid() !== before, 'Assigned to the new pod');
    await harness.deletePod('again');
    await harness.untilReleased();
  });

  it('keeps what others wrote on its object when its identity changes', async () => {
    const name = nameOf('shared');
    await harness.createPod('shared', 'write');
    await harness.untilAssigned(name);
    // The garbage collector removes the reference to an owner that does not exist.
    const made = await harness.client.call('POST', resourcePath(configMaps, { namespace: 'default' }), {
      body: { metadata: { name: 'owner' } },
    });
    const owner = { apiVersion: 'v1', kind: 'ConfigMap', name: 'owner', uid: metadataOf(made).uid };
    const theirs = { metadata: { ownerReferences: [owner], labels: { team: 'a' } }, spec: { replicas: 3 } };
    await harness.patch(azureAssignedIdentities, name, theirs);
    const recordedTenant = () => harness.find(name)?.spec?.azureIdentityRef?.spec?.tenantID;
    for (const tenantID of ['first', null]) {
      await harness.patch(azureIdentities, 'writer', { spec: { tenantID } });
      await harness.until(() => recordedTenant() === (tenantID ?? undefined), `tenant ${tenantID}`);
      const object = harness.find(name);
      assert.deepEqual(at(object, 'metadata', 'ownerReferences'), [owner]);
      assert.deepEqual(at(object, 'metadata', 'labels'), { nodename: 'node-0', team: 'a' });
      assert.equal(at(object, 'spec', 'replicas'), 3);
    }
    assert.equal(harness.status(name), 'Assigned');
    await harness.deletePod('shared');
    await harness.untilReleased();
  });

  it('stays Assigned without a PATCH when only metadata of its identity changes', async () => {
    await harness.createPod('steady', 'write');
    await harness.untilAssigned('steady-default-writer');
    const before = harness.patches();
    const seen = new Set<string>();
    const off = harness.assigned.onChange(({ after: now }) => {
      if (now?.metadata.name === 'steady-default-writer') seen.add(statusOf(now));
    });
    await harness.patch(azureIdentities, 'writer', { metadata: { labels: { team: 'a' } } });
    await harness.createPod('witness', 'write');
    await harness.untilAssigned('witness-default-writer');
    off();
    assert.ok(!seen.has('Created'));
    assert.equal(harness.status(nameOf('steady')), 'Assigned');
    assert.equal(harness.patches(), before);
    for (const pod of ['steady', 'witness']) await harness.deletePod(pod);
    await harness.untilReleased();
  });
});
