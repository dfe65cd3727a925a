// `controller uninstall` as a program, against the API server, the Azure emulator and the controller.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { promisify } from 'node:util';
import {
  assignedIdentityFinalizer,
  leaderLeaseName,
  scopeRecordPrefix,
  testPodName,
  uninstallRequestName,
  webhookConfigurationName,
} from '../../../api/names.ts';
import { federationRecordLabels, federationRecordName, formatFederationRecord } from '../../../lib/identities/federation/record.ts';
import { at, stringAt } from '../../../lib/kube/objects.ts';
import type { Resource } from '../../../lib/kube/resources.ts';
import {
  azureAssignedIdentities,
  configMaps,
  deployments,
  leases,
  mutatingWebhookConfigurations,
  pods,
  resourcePath,
} from '../../../lib/kube/resources.ts';
import { programFile } from '../../harness/bundles.ts';
import type { RunningProgram } from '../../harness/program.ts';
import { eventually } from '../../harness/wait.ts';
import { idOf, pool1 } from '../azure/fixtures.ts';
import type { Harness } from './harness/harness.ts';
import { startHarness } from './harness/harness.ts';
import { isAbsent } from './harness/objects.ts';

const namespace = 'default';
const run = promisify(execFile);

let harness: Harness;
let controller: RunningProgram;

before(async () => {
  const trust = { issuer: 'https://issuer.example', subject: 'broker' };
  const federated = ['ours', 'theirs'].map((name) => ({ name, ...trust, subject: name === 'ours' ? trust.subject : name }));
  harness = await startHarness({
    azure: { identities: [...['writer', 'reader', 'third'].map((name) => ({ name })), { name: 'trusting', federated }] },
  });
  await harness.createNode('node-0', `azure://${pool1}/virtualMachines/0`);
  for (const name of ['writer', 'reader']) await harness.createIdentity(name);
  await harness.createBinding('both-writer', 'writer', 'both');
  await harness.createBinding('both-reader', 'reader', 'both');
  for (const name of ['a', 'b']) await harness.createPod(name, 'both');
});
after(() => harness?.stop());

const made = ['a', 'b'].flatMap((pod) => ['writer', 'reader'].map((identity) => `${pod}-default-${identity}`));

/** What `helm install` leaves to the Job, and what the controller has made of it. */
beforeEach(async () => {
  const typeMeta = { apiVersion: 'admissionregistration.k8s.io/v1', kind: 'MutatingWebhookConfiguration' };
  await harness.client.call('POST', resourcePath(mutatingWebhookConfigurations), {
    body: { ...typeMeta, metadata: { name: webhookConfigurationName } },
  });
  for (const name of ['aad-pod-identity-controller', 'aad-pod-identity-broker'])
    await harness.client.call('POST', resourcePath(deployments, { namespace }), { body: deployment(name) });
  if (await isGone(configMaps, uninstallRequestName))
    await harness.client.call('POST', resourcePath(configMaps, { namespace }), {
      body: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: uninstallRequestName } },
    });
  controller = await harness.startController();
  await harness.untilAssigned(...made);
});

afterEach(async () => {
  for (const name of ['aad-pod-identity-controller', 'aad-pod-identity-broker']) await harness.delete(deployments, name);
});

const deployment = (name: string) => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name },
  spec: {
    replicas: 2,
    selector: { matchLabels: { name } },
    template: { metadata: { labels: { name } }, spec: { containers: [{ name: 'program', image: 'program' }] } },
  },
});

const isGone = (resource: Resource, name: string, place: object = { namespace }) =>
  isAbsent(harness.client, resourcePath(resource, { ...place, name }));

const programPod = 'aad-pod-identity-controller-0';

/** Stands for Deployment controller and kubelet: ends the controller and its pod once the Deployment is scaled to zero. */
async function obeyScale(): Promise<void> {
  await eventually(async () => (await replicasOf('aad-pod-identity-controller')) === 0, 'the controller is scaled to zero');
  await controller.stop();
  await harness.deletePod(programPod);
}

async function createProgramPod(): Promise<void> {
  const labels = { 'app.kubernetes.io/name': 'aad-pod-identity-webhook', 'app.kubernetes.io/component': 'controller' };
  const spec = { nodeName: 'node-0', containers: [{ name: 'program', image: 'program' }] };
  const body = { apiVersion: 'v1', kind: 'Pod', metadata: { name: programPod, labels }, spec };
  await harness.client.call('POST', resourcePath(pods, { namespace }), { body });
}

/** As the controller leaves it for an identity that pods need, with a credential that it made. */
async function createFederationRecord(name: string, credential: string): Promise<void> {
  const identity = idOf(name).toLowerCase();
  const ids = { clientId: 'c', tenantId: 't', objectId: 'o', issuer: 'https://issuer.example', subject: 'broker', audience: 'a' };
  const at_ = new Date().toISOString();
  const made_ = { name: credential, owned: true, createdAt: at_ };
  const data = formatFederationRecord({ identity, ...ids, credential: made_, provenAt: at_, former: [], unusedSince: undefined });
  const metadata = { name: federationRecordName(identity), labels: federationRecordLabels };
  await harness.client.call('POST', resourcePath(configMaps, { namespace }), {
    body: { apiVersion: 'v1', kind: 'ConfigMap', metadata, data },
  });
}

const replicasOf = async (name: string) =>
  at(await harness.client.call('GET', resourcePath(deployments, { namespace, name })), 'spec', 'replicas');

/** Resolves with log and termination message once the program has ended with 0. */
async function uninstall(...flags: string[]): Promise<{ log: string; message: string }> {
  const file = path.join(harness.plane.folder, 'termination-log');
  const args = [
    await programFile('controller'),
    'uninstall',
    `--kubeconfig=${harness.plane.kubeconfig}`,
    `--termination-message=${file}`,
    ...flags,
  ];
  const { stdout } = await run(process.execPath, args, { timeout: 60_000 });
  return { log: stdout, message: await readFile(file, 'utf8') };
}

async function assertCleared(): Promise<void> {
  assert.equal(await isGone(mutatingWebhookConfigurations, webhookConfigurationName, {}), true);
  const request = await harness.client.call('GET', resourcePath(configMaps, { namespace, name: uninstallRequestName }));
  assert.equal(stringAt(request, 'data', 'until'), undefined);
  for (const name of ['aad-pod-identity-controller', 'aad-pod-identity-broker']) assert.equal(await replicasOf(name), 0, name);
}

async function recordedIdentities(): Promise<string[]> {
  const found = at(await harness.client.call('GET', resourcePath(configMaps, { namespace })), 'items');
  const records = (Array.isArray(found) ? found : []).filter((one) => stringAt(one, 'metadata', 'name')?.startsWith(scopeRecordPrefix));
  return records.flatMap((one) => Object.keys(JSON.parse(stringAt(one, 'data', 'identities') ?? '{}')));
}

describe('the uninstall', () => {
  it('detaches by the leader, and releases all objects and the Lease', async () => {
    await createProgramPod();
    const tested = { metadata: { name: testPodName }, spec: { containers: [{ name: 'test', image: 'test' }] } };
    await harness.client.call('POST', resourcePath(pods, { namespace }), { body: tested });
    await createFederationRecord('trusting', 'ours');
    const [{ log, message }] = await Promise.all([uninstall('--timeout=60'), obeyScale()]);
    assert.deepEqual(
      harness.emulator
        .state()
        .identities.get(idOf('trusting').toLowerCase())
        ?.federated.map(({ name }) => name),
      ['theirs'],
    );
    assert.match(message, /^uninstalled: nothing is left to do/);
    assert.match(log, /AzureAssignedIdentities: 4 released/);
    await assertCleared();
    assert.deepEqual(harness.attached(), ['third']);
    assert.deepEqual(await recordedIdentities(), []);
    await harness.until(() => harness.count() === 0, 'all objects are released');
    assert.equal(await isGone(leases, leaderLeaseName), true);
    assert.equal(await isGone(pods, testPodName), true);
  });

  it('leaves identities with detach=false, and a new controller owns them', async () => {
    const before_ = harness.patches();
    await createProgramPod();
    const [{ log, message }] = await Promise.all([uninstall('--timeout=60', '--detach=false'), obeyScale()]);
    assert.match(message, /^uninstalled: nothing is left to do/);
    assert.match(log, /records: kept: a new install into namespace default owns what they name/);
    await assertCleared();
    assert.equal((await recordedIdentities()).length, 2);
    controller = await harness.startController();
    await harness.untilAssigned(...made);
    assert.equal(harness.patches(), before_);
    await controller.stop();
  });

  it('ends without a controller, and says with commands what is left attached', async () => {
    await controller.stop('SIGKILL');
    const foreign = {
      metadata: { name: 'of-mic', namespace, finalizers: [assignedIdentityFinalizer] },
      spec: { pod: 'a', podNamespace: namespace },
    };
    const typeMeta = { apiVersion: 'aadpodidentity.k8s.io/v1', kind: 'AzureAssignedIdentity' };
    await harness.client.call('POST', resourcePath(azureAssignedIdentities, { namespace }), { body: { ...typeMeta, ...foreign } });
    const { log, message } = await uninstall('--timeout=60');
    assert.match(log, /Azure: no controller leads/);
    assert.match(message, /^uninstalled, but this is left:/);
    assert.match(
      message,
      /az vmss identity remove --subscription \S+ --resource-group '\S+' --name pool1 --identities \S+\/(writer|reader) /i,
    );
    await assertCleared();
    await harness.until(() => harness.count() === 1, 'only the object of a MIC is left');
    assert.notEqual(harness.find('of-mic'), undefined);
    await harness.patch(azureAssignedIdentities, 'of-mic', { metadata: { finalizers: null } });
    await harness.delete(azureAssignedIdentities, 'of-mic');
    assert.equal(await isGone(leases, leaderLeaseName), true);
    assert.deepEqual(harness.attached(), ['reader', 'third', 'writer']);
  });

  it('ends in its time while Azure refuses and a pod of the controller stays', async () => {
    await createProgramPod();
    const fault = harness.emulator.addFault({ fault: 'forbidden', resource: pool1 });
    const { log, message } = await uninstall('--timeout=10');
    assert.match(log, /Azure: the controller has not ended in time/);
    assert.match(message, /\n- attached to .*\n {2}az vmss identity remove/);
    assert.match(message, /pods of controller and broker: still there: aad-pod-identity-controller-0/);
    await assertCleared();
    assert.equal(await isGone(leases, leaderLeaseName), false);
    harness.emulator.removeFaults(fault);
    await controller.stop();
  });
});
