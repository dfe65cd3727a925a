// Events and metrics: what users see of the controller's work without its log.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { alone, pool1 } from '../azure/fixtures.ts';
import type { Harness } from './harness/harness.ts';
import { startHarness } from './harness/harness.ts';
import { annotationOf } from './harness/observations.ts';

let harness: Harness;
let metricsUrl: string;

before(async () => {
  harness = await startHarness();
  await harness.createNode('node-0', `azure://${pool1}/virtualMachines/0`);
  await harness.createNode('node-new', '');
  await harness.createIdentity('writer');
  await harness.createBinding('writer', 'writer', 'write');
  const controller = await harness.startController();
  const { metrics } = await controller.logged((record) => record.msg === 'started');
  metricsUrl = `http://127.0.0.1:${String(metrics)}/metrics`;
});

after(() => harness?.stop());

describe('Events', () => {
  it('reports on pod and binding that an identity is attached and removed', async () => {
    await harness.createPod('way', 'write');
    await harness.untilAssigned('way-default-writer');
    await harness.untilEvent('Pod', 'way', /^Attaching: AzureIdentity default\/writer is being attached to \/subscriptions\//);
    await harness.untilEvent('Pod', 'way', /^Attached: AzureIdentity default\/writer is attached to \S+ after \d+ s$/);
    await harness.deletePod('way');
    await harness.untilEvent('AzureIdentityBinding', 'writer', /^binding removed: Binding writer removed from node node-0 for pod way$/);
  });

  it('reports that a pod has no binding, or a node without a provider id', async () => {
    await harness.createPod('unbound', 'nobody');
    await harness.untilEvent('Pod', 'unbound', /^NoBinding: no AzureIdentityBinding with selector 'nobody'/);
    await harness.createBinding('dangling', 'no-such-identity', 'nobody');
    await harness.untilEvent(
      'AzureIdentityBinding',
      'dangling',
      /^binding apply error: AzureIdentity default\/no-such-identity does not exist/,
    );
    await harness.createPod('early', 'write', { node: 'node-new' });
    await harness.untilEvent('Pod', 'early', /^WaitingForNode: the pod's node has no providerID yet/);
    await harness.client.call('PATCH', '/api/v1/nodes/node-new', {
      contentType: 'application/merge-patch+json',
      body: { spec: { providerID: `azure://${alone}` } },
    });
    await harness.untilAssigned('early-default-writer');
    assert.equal(annotationOf(harness.find('early-default-writer'), 'reason'), undefined);
    for (const pod of ['unbound', 'early']) await harness.deletePod(pod);
  });

  it('reports a labelled pod that the webhook did not inject', async () => {
    await harness.createPod('missed', 'write', { injected: false });
    await harness.untilEvent('Pod', 'missed', /^NotInjected: the pod carries the label aadpodidbinding but has no token proxy/);
    const text = await (await fetch(metricsUrl)).text();
    assert.match(text, /^aadpodidentity_uninjected_pods{reason="not_injected"} 1$/m);
    await harness.deletePod('missed');
  });

  it('reports a labelled pod of kube-system, for which the webhook is never called', async () => {
    await harness.createPod('agic', 'write', { injected: false, namespace: 'kube-system' });
    await harness.untilEvent('Pod', 'agic', /^NotInjected: .* the webhook is never called for namespace kube-system/);
    await harness.deletePod('agic', 'kube-system');
  });

  it('reports an identity in quarantine, on the identity and on its pod', async () => {
    await harness.createIdentity('missing');
    await harness.createBinding('missing', 'missing', 'missing');
    await harness.createPod('hopeless', 'missing');
    await harness.untilEvent('AzureIdentity', 'missing', /^Quarantined: left out of writes to \S+ until 2/);
    await harness.untilEvent('Pod', 'hopeless', /^IdentityNotFound: AzureIdentity default\/missing waits: /);
    await harness.deletePod('hopeless');
  });

  it('reports until when Azure throttles', async () => {
    harness.emulator.addFault({ fault: 'throttled', retryAfter: 2, resource: pool1, method: 'PATCH', count: 1 });
    await harness.createPod('throttled', 'write');
    await harness.untilEvent('Pod', 'throttled', /^Throttled: AzureIdentity default\/writer waits: .*; next try at 2/);
    await harness.untilAssigned('throttled-default-writer');
    await harness.deletePod('throttled');
  });
});

describe('metrics', () => {
  it('keeps the metric names that dashboards of aad-pod-identity use', async () => {
    await harness.until(() => harness.count() === 0, 'no object');
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
