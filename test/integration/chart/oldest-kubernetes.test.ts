// The API server of the oldest Kubernetes that the chart claims: kinds, admission policies and webhook.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { initContainerName, proxyContainerName } from '../../../api/names.ts';
import { at, stringAt } from '../../../lib/kube/objects.ts';
import { findOldestApiServer } from '../../cluster/binaries.ts';
import { eventually } from '../../harness/wait.ts';
import type { Harness } from '../webhook/harness.ts';
import { startHarness } from '../webhook/harness.ts';

const policies = ['marker', 'ephemeralContainers', 'exec', 'containerPrivileges', 'exceptions', 'assignedIdentities'];
const api = '/apis/aadpodidentity.k8s.io/v1/namespaces/team';
const names = (containers: unknown) => (Array.isArray(containers) ? containers.map((one) => stringAt(one, 'name')) : undefined);

describe('the oldest Kubernetes', () => {
  let harness: Harness;

  before(async () => {
    const set = ['guard.enabled=true', ...policies.map((name) => `guard.policies.${name}=deny`)].join();
    harness = await startHarness({ apiServer: await findOldestApiServer(console.error), set });
    await harness.createNamespace('team');
  });
  after(() => harness?.stop());

  const create = (target: string, body: object) => harness.client.call('POST', target, { body });
  const pod = (name: string, labels: object) => ({ metadata: { name, labels }, spec: { containers: [{ name: 'app', image: 'app' }] } });

  it('is the one that the chart asks for', async () => {
    const version = await harness.client.call('GET', '/version');
    const chart = readFileSync(path.resolve(import.meta.dirname, '../../../charts/aad-pod-identity-webhook/Chart.yaml'), 'utf8');
    assert.equal(/^kubeVersion: '>=1\.(\d+)\.0-0'$/m.exec(chart)?.[1], stringAt(version, 'minor'));
  });

  it('takes the four kinds and refuses what their schema refuses', async () => {
    const identity = (name: string, spec: object) => ({
      apiVersion: 'aadpodidentity.k8s.io/v1',
      kind: 'AzureIdentity',
      metadata: { name },
      spec,
    });
    const resourceID = '/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/x';
    const made = await create(`${api}/azureidentities`, identity('good', { type: 0, resourceID }));
    assert.equal(stringAt(made, 'spec', 'resourceID'), resourceID);
    await assert.rejects(create(`${api}/azureidentities`, identity('bad', { type: 'none' })), /spec\.type/);
    await assert.rejects(
      create(`${api}/azureidentities`, identity('bad', { resourceID: '/subscriptions/s' })),
      /resourceID is \/subscriptions/,
    );
    for (const plural of ['azureidentitybindings', 'azureassignedidentities', 'azurepodidentityexceptions'])
      assert.deepEqual(at(await harness.client.call('GET', `${api}/${plural}`), 'items'), [], plural);
  });

  it('compiles the admission policies without a complaint, and applies them', async () => {
    const list = async () => {
      const found = at(await harness.client.call('GET', '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies'), 'items');
      return Array.isArray(found) ? found.map((item) => at(item, 'status')) : [];
    };
    await eventually(async () => (await list()).every((status) => at(status, 'observedGeneration') !== undefined), 'all are checked');
    const statuses = await list();
    assert.ok(statuses.length >= policies.length);
    assert.deepEqual(
      statuses.flatMap((status) => at(status, 'typeChecking', 'expressionWarnings') ?? []),
      [],
    );
    const forged = pod('forged', { 'aadpodidentity.k8s.io/injected': 'redirect' });
    const refusal = () => create('/api/v1/namespaces/team/pods?dryRun=All', forged).then(() => '', String);
    const isRefused = async () => /ValidatingAdmissionPolicy 'aad-pod-identity-/.test(await refusal());
    await eventually(isRefused, 'a forged marker is refused');
  });

  it('gets a classic sidecar from the webhook, whose marker the policies take', async () => {
    await harness.startRegistered();
    const made = await create('/api/v1/namespaces/team/pods', pod('labelled', { aadpodidbinding: 'reader' }));
    assert.deepEqual(names(at(made, 'spec', 'initContainers')), [initContainerName]);
    assert.deepEqual(names(at(made, 'spec', 'containers'))?.sort(), [proxyContainerName, 'app']);
    assert.equal(stringAt(made, 'metadata', 'labels', 'aadpodidentity.k8s.io/injected'), 'redirect');
  });
});
