// The acceptance scenarios of spec/aad-pod-identity.md 6.1 that are about assignment, by their ids. E03, E05-E07, E11, E14 and E19 are in
// assignment.test.ts; what a pod then gets from IMDS (E01, E02, E08, E21-E24) is proven with the sidecar.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { mergePatch } from '../../../lib/kube/client.ts';
import { azureIdentities, azureIdentityBindings, namespaces, resourcePath } from '../../../lib/kube/resources.ts';
import { alone, clientIds, idOf, pool1 } from '../azure/support.ts';
import type { ControllerProcess, Stage } from './stage.ts';
import { notesOf, setStage, statusOf } from './stage.ts';

let stage: Stage;
let first: ControllerProcess;
const colours = ['red', 'green', 'blue', 'cyan', 'gold'];
const upperCaseListed = 'AAAAAAAA-0000-4000-8000-000000000009';

before(async () => {
  stage = await setStage({
    scaleSets: [{ name: 'Pool1', instances: 2, identity: { type: 'UserAssigned', ids: ['third'] } }],
    virtualMachines: [{ name: 'alone', identity: { type: 'SystemAssigned' } }],
    identities: [
      ...Object.entries(clientIds).map(([name, clientId]) => ({ name, clientId })),
      ...colours.map((name) => ({ name })),
      { name: 'listed', clientId: upperCaseListed.toLowerCase() },
      { name: 'dots-and-(parentheses)' },
    ],
  });
  await stage.makeNode('node-0', `azure://${pool1}/virtualMachines/0`);
  await stage.makeNode('node-1', `azure://${pool1}/virtualMachines/1`);
  await stage.makeNode('node-alone', `azure://${alone}`);
  for (const name of [...colours, 'third', 'listed', 'writer']) {
    await stage.makeIdentity(name, name === 'listed' ? { clientID: upperCaseListed } : {});
    await stage.makeBinding(name, name, name);
  }
  first = await stage.startController([`--immutable-user-msis=${upperCaseListed}`, '--identity-assignment-reconcile-interval=1']);
});
after(() => stage?.stop());

const assigned = (name: string) => stage.assigned.get(`default/${name}`);
const isStatus = (name: string, status: string) => () => statusOf(assigned(name)) === status;
const count = () => [...stage.assigned.values()].length;
const cleared = (what = 'third') => stage.until(() => count() === 0 && stage.attached().join() === what, `no object and only ${what}`);
const removeIdentity = (name: string) => stage.client.call('DELETE', resourcePath(azureIdentities, { namespace: 'default', name }));

describe('acceptance scenarios', () => {
  it('E04: the object goes with its pod', async () => {
    await stage.makePod('e04', 'red');
    await stage.until(isStatus('e04-default-red', 'Assigned'), 'Assigned');
    await stage.removePod('e04');
    await cleared();
  });

  it('E12: the last pod of a scale set takes the identity along, not the first', async () => {
    await stage.makePod('e12-a', 'red');
    await stage.makePod('e12-b', 'red', { node: 'node-1' });
    await stage.until(() => ['e12-a', 'e12-b'].every((pod) => isStatus(`${pod}-default-red`, 'Assigned')()), 'Assigned');
    await stage.removePod('e12-a');
    await stage.until(() => count() === 1, 'one left');
    assert.ok(stage.attached().includes('red'));
    await stage.removePod('e12-b');
    await cleared();
  });

  it('pods of one name in two namespaces protect each other (spec 2.6)', async () => {
    await stage.client.call('POST', resourcePath(namespaces), {
      body: { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'twin' } },
    });
    await stage.makePod('web-0', 'red');
    await stage.makePod('web-0', 'red', { namespace: 'twin' });
    await stage.until(() => ['web-0-default-red', 'web-0-twin-red'].every((name) => isStatus(name, 'Assigned')()), 'Assigned');
    const since = stage.emulator.log.last;
    await stage.removePod('web-0');
    await stage.until(() => count() === 1, 'one left');
    await stage.makePod('after', 'green');
    await stage.until(isStatus('after-default-green', 'Assigned'), 'a later write is done');
    const removals = stage.emulator.log
      .list(since)
      .filter((entry) => entry.kind === 'request' && JSON.stringify(entry).includes('red":null'));
    assert.deepEqual(removals, []);
    await stage.removePod('web-0', 'twin');
    await stage.removePod('after');
    await cleared();
  });

  it('equal resource ids in another case are one identity (spec 2.6)', async () => {
    await stage.makeIdentity('shouting', { resourceID: idOf('red').toUpperCase() });
    await stage.makeBinding('shouting', 'shouting', 'shouting');
    await stage.makePod('quiet', 'red');
    await stage.makePod('loud', 'shouting');
    await stage.until(() => isStatus('quiet-default-red', 'Assigned')() && isStatus('loud-default-shouting', 'Assigned')(), 'Assigned');
    await stage.removePod('loud');
    await stage.until(() => count() === 1, 'one left');
    assert.ok(stage.attached().includes('red'));
    await stage.removePod('quiet');
    await cleared();
  });

  it('E13: a pod whose identity was detached by hand still goes', async () => {
    await stage.makePod('e13', 'red');
    await stage.until(isStatus('e13-default-red', 'Assigned'), 'Assigned');
    await stage.emulator.act({ do: 'wipe', resource: pool1, identities: [idOf('red')] });
    await stage.removePod('e13');
    await cleared();
  });

  it('E15, E18: a foreign identity that a pod uses, such as the cluster’s own, stays attached', async () => {
    const before = stage.patches();
    await stage.makePod('e15', 'third');
    await stage.until(isStatus('e15-default-third', 'Assigned'), 'Assigned');
    assert.equal(notesOf(assigned('e15-default-third'), 'clientId'), clientIds.third);
    await stage.removePod('e15');
    await cleared();
    assert.equal(stage.patches(), before, 'nothing had to be written');
  });

  it('E16: an identity of the immutable list stays, whatever the case of its client id, and its object goes', async () => {
    await stage.makePod('e16', 'listed', { node: 'node-alone' });
    await stage.until(isStatus('e16-default-listed', 'Assigned'), 'Assigned');
    await stage.removePod('e16');
    await stage.until(() => count() === 0, 'no object');
    await stage.makePod('e16-later', 'red', { node: 'node-alone' });
    await stage.until(isStatus('e16-later-default-red', 'Assigned'), 'Assigned');
    await stage.removePod('e16-later');
    await stage.until(() => count() === 0 && stage.attached(alone).join() === 'listed', 'only the listed one is left');
  });

  it('E17: what somebody detached comes back within the reconcile interval', async () => {
    await stage.makePod('e17', 'red');
    await stage.until(isStatus('e17-default-red', 'Assigned'), 'Assigned');
    await stage.emulator.act({ do: 'wipe', resource: pool1, identities: [idOf('red')] });
    assert.ok(!stage.attached().includes('red'));
    await stage.until(() => stage.attached().includes('red'), 'attached again');
    assert.equal(statusOf(assigned('e17-default-red')), 'Assigned');
    await stage.removePod('e17');
    await cleared();
  });

  it('E20: bad identities that arrive later do not disturb a good one', async () => {
    await stage.makePod('e20', 'red');
    await stage.until(isStatus('e20-default-red', 'Assigned'), 'Assigned');
    for (const name of ['bad-1', 'bad-2']) {
      await stage.makeIdentity(name);
      await stage.makeBinding(name, name, name);
      await stage.makePod(name, name);
    }
    const why = (name: string) => notesOf(assigned(`${name}-default-${name}`), 'reason') === 'IdentityNotFound';
    await stage.until(() => why('bad-1') && why('bad-2'), 'both say why');
    assert.equal(statusOf(assigned('e20-default-red')), 'Assigned');
    assert.ok(stage.attached().includes('red'));
    for (const pod of ['e20', 'bad-1', 'bad-2']) await stage.removePod(pod);
    await cleared();
  });

  it('a resource group with dots and parentheses hides no culprit (spec 2.10)', async () => {
    await stage.makeIdentity('odd', { resourceID: idOf('nobody').replace('/resourceGroups/Nodes/', '/resourceGroups/my.group(1)/') });
    await stage.makeBinding('odd', 'odd', 'odd');
    await stage.makeBinding('odd-good', 'green', 'odd');
    await stage.makePod('odd', 'odd');
    await stage.until(
      () => isStatus('odd-default-green', 'Assigned')() && notesOf(assigned('odd-default-odd'), 'reason') === 'IdentityNotFound',
      'told apart',
    );
    await stage.removePod('odd');
    await cleared();
  });

  it('E26: the same names in two namespaces: the pod’s own win, in both references', async () => {
    await stage.client.call('POST', resourcePath(namespaces), {
      body: { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'conflict' } },
    });
    await stage.makeIdentity('red', {}, { namespace: 'conflict' });
    await stage.makeBinding('red', 'red', 'red', 'conflict');
    await stage.makePod('e26', 'red', { namespace: 'conflict' });
    await stage.until(isStatus('e26-conflict-red', 'Assigned'), 'Assigned');
    const { azureIdentityRef, azureBindingRef } = assigned('e26-conflict-red')?.spec ?? {};
    assert.deepEqual([azureIdentityRef?.metadata.namespace, azureBindingRef?.metadata.namespace], ['conflict', 'conflict']);
    await stage.removePod('e26', 'conflict');
    await stage.client.call('DELETE', resourcePath(azureIdentityBindings, { namespace: 'conflict', name: 'red' }));
    await cleared();
  });

  it('E10: 40 pods over 5 bindings are all Assigned, with one write or two', async () => {
    const before = stage.patches();
    const pods = Array.from({ length: 40 }, (_, index) => ({ name: `e10-${index}`, colour: colours[index % 5] ?? 'red' }));
    await Promise.all(pods.map(({ name, colour }, index) => stage.makePod(name, colour, { node: `node-${index % 2}` })));
    await stage.until(() => pods.every(({ name, colour }) => isStatus(`${name}-default-${colour}`, 'Assigned')()), 'all Assigned');
    assert.ok(stage.patches() - before <= 2, `${stage.patches() - before} PATCHes`);
    await Promise.all(pods.map(({ name }) => stage.removePod(name)));
    await cleared();
  });

  it('E09: identities that are deleted one by one take one object each, and disturb no other', async () => {
    await Promise.all(colours.map((colour) => stage.makePod(`e09-${colour}`, colour)));
    await stage.until(() => colours.every((colour) => isStatus(`e09-${colour}-default-${colour}`, 'Assigned')()), 'all Assigned');
    const left = new Set(colours);
    for (const colour of ['blue', 'red', 'gold', 'green', 'cyan']) {
      await removeIdentity(colour);
      left.delete(colour);
      await stage.until(() => count() === left.size && !stage.attached().includes(colour), `${colour} is gone`);
      for (const other of left) assert.equal(statusOf(assigned(`e09-${other}-default-${other}`)), 'Assigned');
      assert.deepEqual(stage.attached(), [...left, 'third'].sort());
    }
    for (const colour of colours) {
      await stage.removePod(`e09-${colour}`);
      await stage.makeIdentity(colour);
    }
  });

  it('an object that somebody set to Unassigned comes back while its pod needs it (spec 1.9, defect 1)', async () => {
    await stage.makePod('stuck', 'red');
    await stage.until(isStatus('stuck-default-red', 'Assigned'), 'Assigned');
    const path = '/apis/aadpodidentity.k8s.io/v1/namespaces/default/azureassignedidentities/stuck-default-red';
    await stage.client.call('PATCH', path, { contentType: mergePatch, body: { status: { status: 'Unassigned' } } });
    await stage.until(() => statusOf(assigned('stuck-default-red')) !== 'Assigned', 'seen');
    await stage.until(isStatus('stuck-default-red', 'Assigned'), 'Assigned again');
    await stage.removePod('stuck');
    await cleared();
  });

  it('a pod that goes while its object is Created leaks nothing (spec 1.9, defect 2)', async () => {
    stage.emulator.addFault({ fault: 'operation', ms: 700 });
    const since = stage.emulator.log.last;
    await stage.makePod('brief', 'red');
    await stage.emulator.log.waitFor((entry) => entry.seq > since && entry.kind === 'request' && entry.method === 'PATCH');
    assert.equal(statusOf(assigned('brief-default-red')), 'Created');
    await stage.removePod('brief');
    await cleared();
  });

  it('objects follow the mode of their identity to another namespace (spec 1.9, defect 4)', async () => {
    await stage.client.call('POST', resourcePath(namespaces), {
      body: { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'mode' } },
    });
    await stage.makeIdentity('blue', {}, { namespace: 'mode' });
    await stage.makeBinding('blue', 'blue', 'mode', 'mode');
    await stage.makePod('mode', 'mode', { namespace: 'mode' });
    await stage.until(isStatus('mode-mode-blue', 'Assigned'), 'Assigned in default');
    const body = { metadata: { annotations: { 'aadpodidentity.k8s.io/Behavior': 'namespaced' } } };
    await stage.client.call('PATCH', resourcePath(azureIdentities, { namespace: 'mode', name: 'blue' }), { contentType: mergePatch, body });
    await stage.until(
      () => statusOf(stage.assigned.get('mode/mode-mode-blue')) === 'Assigned' && assigned('mode-mode-blue') === undefined,
      'moved',
    );
    assert.ok(stage.attached().includes('blue'));
    await stage.removePod('mode', 'mode');
    await cleared();
  });

  it('an Azure that answers nothing but errors leaves objects and records as they are (spec 1.9, defects 5 and 6)', async () => {
    await stage.makePod('down', 'red');
    await stage.until(isStatus('down-default-red', 'Assigned'), 'Assigned');
    const since = stage.emulator.log.last;
    const fault = stage.emulator.addFault({ fault: 'answer', service: 'arm', status: 500, body: 'down' });
    await stage.removePod('down');
    await stage.until(() => count() === 0, 'the object does not wait for Azure');
    await stage.emulator.log.waitFor((entry) => entry.seq > since && entry.kind === 'request' && entry.service === 'arm');
    assert.ok(stage.attached().includes('red'));
    stage.emulator.removeFaults(fault);
    await cleared();
  });

  it('E25: objects made while the leader dies are Assigned by the next one', async () => {
    const second = await stage.startController(['--identity-assignment-reconcile-interval=1']);
    await stage.makePod('e25-before', 'red');
    await stage.until(isStatus('e25-before-default-red', 'Assigned'), 'Assigned by the first');
    await Promise.all([first.end('SIGKILL'), stage.makePod('e25', 'green')]);
    await second.logs((record) => record.msg === 'leading');
    await stage.until(isStatus('e25-default-green', 'Assigned'), 'Assigned by the second');
    for (const pod of ['e25', 'e25-before']) await stage.removePod(pod);
    await cleared();
  });
});
