// What people see of the controller's work without reading its log: Events on their objects, and metrics.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { alone, pool1 } from '../azure/support.ts';
import type { Stage } from './stage.ts';
import { notesOf, setStage, statusOf, untilEvent } from './stage.ts';

let stage: Stage;
let metricsUrl: string;

before(async () => {
  stage = await setStage();
  await stage.makeNode('node-0', `azure://${pool1}/virtualMachines/0`);
  await stage.makeNode('node-new', '');
  await stage.makeIdentity('writer');
  await stage.makeBinding('writer', 'writer', 'write');
  const controller = await stage.startController();
  const { metrics } = await controller.logs((record) => record.msg === 'started');
  metricsUrl = `http://127.0.0.1:${String(metrics)}/metrics`;
});

after(() => stage?.stop());

const assigned = (name: string) => stage.assigned.get(`default/${name}`);
const isAssigned = (name: string) => () => statusOf(assigned(name)) === 'Assigned';

describe('Events', () => {
  it('follow an identity on its way to a pod and back, on the pod and on the binding', async () => {
    await stage.makePod('way', 'write');
    await stage.until(isAssigned('way-default-writer'), 'Assigned');
    await untilEvent(stage.client, 'Pod', 'way', /^Attaching: AzureIdentity default\/writer is being attached to \/subscriptions\//);
    await untilEvent(stage.client, 'Pod', 'way', /^Attached: AzureIdentity default\/writer is attached to \S+ after \d+ s$/);
    await stage.removePod('way');
    await untilEvent(
      stage.client,
      'AzureIdentityBinding',
      'writer',
      /^binding removed: Binding writer removed from node node-0 for pod way$/,
    );
  });

  it('say what a pod waits for: a binding, a node that Azure knows', async () => {
    await stage.makePod('unbound', 'nobody');
    await untilEvent(stage.client, 'Pod', 'unbound', /^NoBinding: no AzureIdentityBinding with selector 'nobody'/);
    await stage.makeBinding('dangling', 'no-such-identity', 'nobody');
    await untilEvent(
      stage.client,
      'AzureIdentityBinding',
      'dangling',
      /^binding apply error: AzureIdentity default\/no-such-identity does not exist/,
    );
    await stage.makePod('early', 'write', { node: 'node-new' });
    await untilEvent(stage.client, 'Pod', 'early', /^WaitingForNode: the pod's node has no providerID yet/);
    await stage.client.call('PATCH', '/api/v1/nodes/node-new', {
      contentType: 'application/merge-patch+json',
      body: { spec: { providerID: `azure://${alone}` } },
    });
    await stage.until(isAssigned('early-default-writer'), 'Assigned once the node is known');
    assert.equal(notesOf(assigned('early-default-writer'), 'reason'), undefined);
    for (const pod of ['unbound', 'early']) await stage.removePod(pod);
  });

  it('tell a labelled pod that went past the webhook', async () => {
    await stage.makePod('missed', 'write', { injected: false });
    await untilEvent(stage.client, 'Pod', 'missed', /^NotInjected: the pod carries the label aadpodidbinding but has no token proxy/);
    const text = await (await fetch(metricsUrl)).text();
    assert.match(text, /^aadpodidentity_uninjected_pods{reason="not_injected"} 1$/m);
    await stage.removePod('missed');
  });

  it('name the identity that is kept out of writes, and tell its pod', async () => {
    await stage.makeIdentity('missing');
    await stage.makeBinding('missing', 'missing', 'missing');
    await stage.makePod('hopeless', 'missing');
    await untilEvent(stage.client, 'AzureIdentity', 'missing', /^Quarantined: left out of writes to \S+ until 2/);
    await untilEvent(stage.client, 'Pod', 'hopeless', /^IdentityNotFound: AzureIdentity default\/missing waits: /);
    await stage.removePod('hopeless');
  });

  it('tell until when Azure throttles', async () => {
    stage.emulator.addFault({ fault: 'throttled', retryAfter: 2, resource: pool1, method: 'PATCH', count: 1 });
    await stage.makePod('throttled', 'write');
    await untilEvent(stage.client, 'Pod', 'throttled', /^Throttled: AzureIdentity default\/writer waits: .*; next try at 2/);
    await stage.until(isAssigned('throttled-default-writer'), 'Assigned after the pause');
    await stage.removePod('throttled');
  });
});

describe('metrics', () => {
  it('keep the names and types that dashboards of aad-pod-identity ask for', async () => {
    await stage.until(() => [...stage.assigned.values()].length === 0, 'all gone');
    const text = await (await fetch(metricsUrl)).text();
    for (const positive of [
      'aadpodidentity_assigned_identity_addition_count',
      'aadpodidentity_assigned_identity_addition_duration_seconds_count',
      'aadpodidentity_assigned_identity_deletion_count',
      'aadpodidentity_mic_cycle_count',
      'aadpodidentity_mic_cycle_duration_seconds_count',
      'aadpodidentity_mic_new_leader_election_count',
      'aadpodidentity_cloud_provider_operations_duration_seconds_count{operation_type="vmss_get"}',
      'aadpodidentity_cloud_provider_operations_duration_seconds_count{operation_type="vmss_update"}',
      'aadpodidentity_cloud_provider_operations_duration_seconds_count{operation_type="vm_update"}',
      'aadpodidentity_cloud_provider_operations_errors_count{operation_type="vmss_update"}',
    ]) {
      const line = text.split('\n').find((each) => each.startsWith(`${positive} `));
      assert.ok(Number(line?.split(' ').at(-1)) > 0, `${positive}: ${line}`);
    }
  });
});
