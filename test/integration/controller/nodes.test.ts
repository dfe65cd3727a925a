// What a compromised node can make of the controller: a kubelet's own credentials under the Node authorizer and NodeRestriction.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { annotations, assignedIdentityFinalizer, bindingLabel } from '../../../api/names.ts';
import type { KubeClient } from '../../../lib/kube/client.ts';
import { connect, mergePatch } from '../../../lib/kube/client.ts';
import { KubeError } from '../../../lib/kube/errors.ts';
import { metadataOf } from '../../../lib/kube/objects.ts';
import {
  azureAssignedIdentities,
  azureIdentities,
  azureIdentityBindings,
  azurePodIdentityExceptions,
  nodes,
  pods,
  resourcePath,
} from '../../../lib/kube/resources.ts';
import { controlPlaneFiles } from '../../cluster/components.ts';
import type { RunningProgram } from '../../harness/program.ts';
import { pool1, subscription } from '../azure/fixtures.ts';
import type { Harness } from './harness/harness.ts';
import { startHarness } from './harness/harness.ts';
import { annotationOf } from './harness/observations.ts';

let harness: Harness;
let controller: RunningProgram;
/** Signs in as `system:node:none`. */
let kubelet: KubeClient;
let nodeUid: string | undefined;
const elsewhere = pool1.replace('/resourceGroups/Nodes/', '/resourceGroups/Other/');
const scopesFlag = `--azure-scopes=/subscriptions/${subscription}/resourceGroups/nodes`;

before(async () => {
  harness = await startHarness({ apiServerFlags: { 'enable-admission-plugins': 'NodeRestriction' } });
  kubelet = connect({ kubeconfig: controlPlaneFiles(harness.plane.folder).kubeletConfig, userAgent: 'test', qps: 100 });
  const body = { apiVersion: 'v1', kind: 'Node', metadata: { name: 'none' }, spec: { providerID: `azure://${pool1}/virtualMachines/0` } };
  nodeUid = metadataOf(await kubelet.call('POST', resourcePath(nodes), { body })).uid;
  await harness.createNode('elsewhere', `azure://${elsewhere}/virtualMachines/0`);
  await harness.createNamespace('team');
  await harness.createIdentity('reader', {}, { namespace: 'team' });
  for (const selector of ['reader', 'excepted']) await harness.createBinding(selector, 'reader', selector, 'team');
  await harness.client.call('POST', resourcePath(azurePodIdentityExceptions, { namespace: 'team' }), {
    body: {
      apiVersion: 'aadpodidentity.k8s.io/v1',
      kind: 'AzurePodIdentityException',
      metadata: { name: 'excepted' },
      spec: { podLabels: { [bindingLabel]: 'excepted' } },
    },
  });
  controller = await harness.startController([scopesFlag]);
});
after(async () => {
  await kubelet?.close();
  await harness?.stop();
});

const containers = [{ name: 'app', image: 'app' }];

/** A pod as a kubelet mirrors it, with the status that only the webhook writes. */
function createMirrorPod(name: string, spec: Record<string, unknown> = {}): Promise<unknown> {
  const metadata = {
    name,
    labels: { [bindingLabel]: 'reader' },
    annotations: { 'kubernetes.io/config.mirror': 'x', 'kubernetes.io/config.hash': 'x', [annotations.status]: '{}' },
    ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name: 'none', uid: nodeUid, controller: true }],
  };
  return kubelet.call('POST', resourcePath(pods, { namespace: 'team' }), {
    body: { apiVersion: 'v1', kind: 'Pod', metadata, spec: { nodeName: 'none', containers, ...spec } },
  });
}

/** By whoever may write pods in the namespace; not injected. */
function createBarePod(name: string, selector: string, spec: Record<string, unknown> = {}): Promise<unknown> {
  const metadata = { name, labels: { [bindingLabel]: selector } };
  return harness.client.call('POST', resourcePath(pods, { namespace: 'team' }), {
    body: { apiVersion: 'v1', kind: 'Pod', metadata, spec: { nodeName: 'none', containers, ...spec } },
  });
}

/** An AzureAssignedIdentity that a controller made for this pod before. */
async function createAssignment(pod: string): Promise<void> {
  const read = (resource: typeof pods, name: string) => harness.client.call('GET', resourcePath(resource, { namespace: 'team', name }));
  const { uid } = metadataOf(await read(pods, pod));
  await harness.client.call('POST', resourcePath(azureAssignedIdentities, { namespace: 'default' }), {
    body: {
      apiVersion: 'aadpodidentity.k8s.io/v1',
      kind: 'AzureAssignedIdentity',
      metadata: { name: `${pod}-team-reader`, finalizers: [assignedIdentityFinalizer], annotations: { [annotations.podUid]: uid } },
      spec: {
        azureIdentityRef: await read(azureIdentities, 'reader'),
        azureBindingRef: await read(azureIdentityBindings, 'reader'),
        pod,
        podNamespace: 'team',
        nodename: 'none',
      },
      status: { status: 'Created', availableReplicas: 1 },
    },
  });
}

/** Once this pod has its identity, the controller has worked on every pod before it. */
async function untilLaterPodIsAssigned(): Promise<void> {
  await harness.createPod('later', 'reader', { namespace: 'team', node: 'none' });
  await harness.untilAssigned('later-team-reader');
  await harness.deletePod('later', 'team');
}

describe('a kubelet', () => {
  it('cannot create an ordinary pod with the label', async () => {
    const metadata = { name: 'ordinary', labels: { [bindingLabel]: 'reader' } };
    const body = { apiVersion: 'v1', kind: 'Pod', metadata, spec: { nodeName: 'none', containers } };
    await assert.rejects(kubelet.call('POST', resourcePath(pods, { namespace: 'team' }), { body }), (error) => {
      return error instanceof KubeError && error.status === 403;
    });
  });

  it('gets nothing for a status that it writes on an uninjected pod of its node', async () => {
    await createBarePod('watched', 'reader');
    await kubelet.call('PATCH', `${resourcePath(pods, { namespace: 'team', name: 'watched' })}/status`, {
      contentType: mergePatch,
      body: { metadata: { annotations: { [annotations.status]: '{}' } } },
    });
    const { annotations: written } = metadataOf(
      await harness.client.call('GET', resourcePath(pods, { namespace: 'team', name: 'watched' })),
    );
    assert.equal(written?.[annotations.status], '{}', 'NodeRestriction lets a kubelet write annotations');
    await untilLaterPodIsAssigned();
    assert.equal(harness.find('watched-team-reader'), undefined);
    await harness.deletePod('watched', 'team');
  });

  it('gets nothing for a mirror pod with a forged status, on the host network or not', async () => {
    await createMirrorPod('forged');
    await createMirrorPod('forged-host', { hostNetwork: true });
    await untilLaterPodIsAssigned();
    assert.deepEqual([harness.find('forged-team-reader'), harness.find('forged-host-team-reader')], [undefined, undefined]);
  });

  it('keeps nothing for a mirror pod that has an object already', async () => {
    await createMirrorPod('old');
    await createAssignment('old');
    await harness.until(() => harness.find('old-team-reader') === undefined, 'released');
    await harness.untilReleased();
  });
});

describe('the controller', () => {
  it('gives identities to pods of the host network', async () => {
    await createBarePod('host', 'reader', { hostNetwork: true });
    await harness.untilAssigned('host-team-reader');
    await harness.deletePod('host', 'team');
  });

  it('gives an identity to an uninjected pod that is excepted or has an object', async () => {
    await createBarePod('bare', 'reader');
    await createBarePod('excepted', 'excepted');
    await createBarePod('adopted', 'reader');
    await createAssignment('adopted');
    await harness.untilAssigned('excepted-team-reader', 'adopted-team-reader');
    await untilLaterPodIsAssigned();
    assert.equal(harness.find('bare-team-reader'), undefined);
    for (const pod of ['excepted', 'adopted']) await harness.deletePod(pod, 'team');
  });

  it('attaches nothing to a node outside azureScopes', async () => {
    await harness.createPod('outside', 'reader', { namespace: 'team', node: 'elsewhere' });
    await harness.untilReason('outside-team-reader', 'UnsupportedNode');
    assert.match(annotationOf(harness.find('outside-team-reader'), 'message') ?? '', /outside the .* of azureScopes$/);
    await harness.untilEvent('Pod', 'outside', /^UnsupportedNode: .* azureScopes$/);
    await untilLaterPodIsAssigned();
    const toOther = harness.armRequests().filter(({ path }) => path.toLowerCase().includes('/resourcegroups/other/'));
    assert.deepEqual(toOther, []);
    await harness.deletePod('outside', 'team');
  });

  it('gives an uninjected pod an identity with assignUninjected, but not a mirror pod', async () => {
    await controller.stop('SIGTERM');
    await harness.startController([scopesFlag, '--assign-uninjected']);
    await harness.untilAssigned('bare-team-reader');
    await untilLaterPodIsAssigned();
    assert.deepEqual([harness.find('forged-team-reader'), harness.find('old-team-reader')], [undefined, undefined]);
  });
});
