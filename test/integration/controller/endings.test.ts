// How assignments end: with the pod's work, with its node, with the object itself, and never stuck.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { mergePatch } from '../../../lib/kube/client.ts';
import { azureAssignedIdentities, azureIdentities, nodes, pods, resourcePath } from '../../../lib/kube/resources.ts';
import { pool1 } from '../azure/support.ts';
import type { ControllerProcess, Stage } from './stage.ts';
import { notesOf, setStage, statusOf } from './stage.ts';

let stage: Stage;
let controller: ControllerProcess;

before(async () => {
  stage = await setStage();
  for (const index of [0, 1]) await stage.makeNode(`node-${index}`, `azure://${pool1}/virtualMachines/${index}`);
  await stage.makeIdentity('writer');
  await stage.makeBinding('writer', 'writer', 'write');
  controller = await stage.startController();
});

after(() => stage?.stop());

const assigned = (pod: string) => stage.assigned.get(`default/${pod}-default-writer`);
const objectPath = (pod: string) => resourcePath(azureAssignedIdentities, { namespace: 'default', name: `${pod}-default-writer` });
const isAssigned = (pod: string) => () => statusOf(assigned(pod)) === 'Assigned';
const patch = (path: string, body: unknown) => stage.client.call('PATCH', path, { contentType: mergePatch, body });
const allGone = () => stage.until(() => [...stage.assigned.values()].length === 0 && stage.attached().join() === 'third', 'all gone');

describe('an assignment', () => {
  for (const phase of ['Succeeded', 'Failed'])
    it(`ends when its pod has ${phase.toLowerCase()}, though the pod is still there`, async () => {
      const pod = `job-${phase.toLowerCase()}`;
      await stage.makePod(pod, 'write');
      await stage.until(isAssigned(pod), 'Assigned');
      await patch(`${resourcePath(pods, { namespace: 'default', name: pod })}/status`, { status: { phase } });
      await allGone();
      await stage.removePod(pod);
    });

  it('keeps its identity while its pod only terminates', async () => {
    await stage.makePod('terminating', 'write');
    await stage.until(isAssigned('terminating'), 'Assigned');
    const path = resourcePath(pods, { namespace: 'default', name: 'terminating' });
    await stage.client.call('DELETE', path, { body: { gracePeriodSeconds: 300 } });
    // Another pod's way to Assigned shows that the controller has seen the deletion.
    await stage.makePod('witness', 'write');
    await stage.until(isAssigned('witness'), 'the witness is Assigned');
    assert.ok(isAssigned('terminating')());
    for (const pod of ['terminating', 'witness']) await stage.removePod(pod);
    await allGone();
  });

  it('ends with node and pod that went while no controller ran', async () => {
    await stage.makeNode('node-2', `azure://${pool1}/virtualMachines/2`);
    await stage.makePod('unseen', 'write', { node: 'node-2' });
    await stage.until(isAssigned('unseen'), 'Assigned');
    await controller.end('SIGKILL');
    await stage.client.call('DELETE', resourcePath(nodes, { name: 'node-2' }));
    await stage.removePod('unseen');
    controller = await stage.startController();
    await allGone();
  });

  it('comes back when somebody deletes the object of a pod that needs it, and Azure does not notice', async () => {
    await stage.makePod('deleted', 'write');
    await stage.until(isAssigned('deleted'), 'Assigned');
    const before = stage.patches();
    const uid = assigned('deleted')?.metadata.uid;
    await stage.client.call('DELETE', objectPath('deleted'));
    await stage.until(() => isAssigned('deleted')() && assigned('deleted')?.metadata.uid !== uid, 'a new object is Assigned');
    assert.equal(stage.patches(), before);
    await stage.removePod('deleted');
    await allGone();
  });

  it('leaves a finalizer of somebody else, and is gone with it', async () => {
    await stage.makePod('theirs', 'write');
    await stage.until(isAssigned('theirs'), 'Assigned');
    const { finalizers = [] } = assigned('theirs')?.metadata ?? {};
    await patch(objectPath('theirs'), { metadata: { finalizers: [...finalizers, 'example.com/theirs'] } });
    await stage.removePod('theirs');
    await stage.until(() => assigned('theirs')?.metadata.finalizers?.join() === 'example.com/theirs', 'only theirs is left');
    await stage.until(() => stage.attached().join() === 'third', 'detached meanwhile');
    await patch(objectPath('theirs'), { metadata: { finalizers: null } });
    await allGone();
  });

  it('goes to the new pod of the same name, under another uid', async () => {
    await stage.makePod('again', 'write');
    await stage.until(isAssigned('again'), 'Assigned');
    const before = notesOf(assigned('again'), 'podUid');
    await stage.removePod('again');
    await stage.makePod('again', 'write');
    await stage.until(() => isAssigned('again')() && notesOf(assigned('again'), 'podUid') !== before, 'Assigned to the new pod');
    await stage.removePod('again');
    await allGone();
  });

  it('stays Assigned, without a write to Azure, when only metadata of its identity changes', async () => {
    await stage.makePod('steady', 'write');
    await stage.until(isAssigned('steady'), 'Assigned');
    const before = stage.patches();
    const seen = new Set<string>();
    const off = stage.assigned.onChange(({ after: now }) => {
      if (now?.metadata.name === 'steady-default-writer') seen.add(statusOf(now));
    });
    await patch(resourcePath(azureIdentities, { namespace: 'default', name: 'writer' }), { metadata: { labels: { team: 'a' } } });
    await stage.makePod('witness', 'write');
    await stage.until(isAssigned('witness'), 'the witness is Assigned');
    off();
    assert.ok(!seen.has('Created') && isAssigned('steady')());
    assert.equal(stage.patches(), before);
    for (const pod of ['steady', 'witness']) await stage.removePod(pod);
    await allGone();
  });
});
