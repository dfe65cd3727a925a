// The acceptance scenarios of spec/aad-pod-identity.md 6.1 that need no token, by their ids, and upstream's defects of assignment. The scenarios that
// validate a token are in tokens.test.ts; E01, E02 and E21-E24 are proven with the sidecar.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { mergePatch } from '../../../lib/kube/client.ts';
import { azureIdentities, namespaces, resourcePath } from '../../../lib/kube/resources.ts';
import { clientIds, idOf, pool1 } from '../azure/support.ts';
import type { Stage } from './stage.ts';
import { notesOf, setStage, statusOf } from './stage.ts';

let stage: Stage;
const colours = ['red', 'green', 'blue'];

before(async () => {
  stage = await setStage({
    scaleSets: [{ name: 'Pool1', instances: 2, identity: { type: 'UserAssigned', ids: ['third'] } }],
    virtualMachines: [{ name: 'alone', identity: { type: 'SystemAssigned' } }],
    identities: [
      ...Object.entries(clientIds).map(([name, clientId]) => ({ name, clientId })),
      ...colours.map((name) => ({ name })),
      { name: 'dots-and-(parentheses)' },
    ],
  });
  await stage.makeNode('node-0', `azure://${pool1}/virtualMachines/0`);
  await stage.makeNode('node-1', `azure://${pool1}/virtualMachines/1`);
  for (const name of colours) {
    await stage.makeIdentity(name);
    await stage.makeBinding(name, name, name);
  }
  await stage.startController(['--identity-assignment-reconcile-interval=1']);
});
after(() => stage?.stop());

const assigned = (name: string) => stage.assigned.get(`default/${name}`);
const isStatus = (name: string, status: string) => () => statusOf(assigned(name)) === status;
const count = () => [...stage.assigned.values()].length;
const cleared = (what = 'third') => stage.until(() => count() === 0 && stage.attached().join() === what, `no object and only ${what}`);

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
});
