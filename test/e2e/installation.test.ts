// The move from aad-pod-identity and back, and an install, by the commands of the documentation in a real cluster.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { annotations, assignedIdentityFinalizer } from '../../api/names.ts';
import { at, stringAt } from '../../lib/kube/objects.ts';
import { readJwt } from '../azure/core/jwt.ts';
import { missingForCluster } from '../cluster/requirements.ts';
import { mustRun } from '../cluster/run.ts';
import { variablesOf, writeValues } from '../cluster/shell.ts';
import { identities, scaleSetId } from '../demo/azure.ts';
import { chartValues } from '../demo/chart-values.ts';
import { identity, podTemplate, workload } from './fixtures.ts';
import { commandsOf } from './guide.ts';
import type { Product } from './harness.ts';
import { eventually, startProduct } from './harness.ts';
import { writeUpstreamChart } from './upstream-release.ts';

const missing = await missingForCluster();
const skip = missing.length > 0 ? `the cluster needs ${missing.join('; ')}` : false;
const log = (line: string) => console.log(line);
const releaseNamespace = 'aad-pod-identity';
const demo = identities.demo.clientId;
/** As people carry it: booleans as text, and values that mean nothing here. */
const upstreamValues = {
  forceNamespaced: 'false',
  mic: { replicas: 1, prometheusPort: 8888 },
  nmi: { allowNetworkPluginKubenet: 'true' },
  rbac: { allowAccessToSecrets: false, createUserFacingClusterRoles: 'true' },
};

describe('the chart as people install it', { skip }, () => {
  let product: Product;
  let environment: Record<string, string>;

  before(async () => {
    product = await startProduct('e2e-installation', log);
    const { cluster, images } = product;
    writeValues(cluster, chartValues(cluster, images, { armPollInterval: 500, upstreamQuiet: 3 }));
    const UPSTREAM_VALUES = path.join(cluster.folder, 'upstream-values.json');
    writeFileSync(UPSTREAM_VALUES, JSON.stringify(upstreamValues));
    const UPSTREAM_CHART = writeUpstreamChart(cluster.folder, cluster.appImage);
    environment = { ...variablesOf(cluster, identities.second.id), UPSTREAM_CHART, UPSTREAM_VALUES };
    await shell('helm install aad-pod-identity "$UPSTREAM_CHART" -n kube-system --values "$UPSTREAM_VALUES" --wait');
    await product.apply(...identity('demo', 'web'), workload('Deployment', 'web', podTemplate(cluster.appImage, 'web')));
    await attachAsMic();
    await assignAsMic();
  });
  after(() => product?.cluster.down());

  const shell = (commands: string) => mustRun('sh', ['-e', '-c', commands], { env: environment, timeoutSeconds: 330 });
  /** Runs the commands of a step of a page, and returns what they print. */
  const follow = async (page: string, heading: string): Promise<string> => {
    let printed = '';
    for (const block of commandsOf(page, heading)) printed += await shell(block);
    return printed;
  };

  const lines = (page: string, heading: string) => commandsOf(page, heading).flatMap((block) => block.trim().split('\n'));

  /** The one pod of the workload that is not about to go. */
  const webPod = async (): Promise<unknown> => {
    const list = await eventually(
      'one pod of the workload',
      async () => at(await product.json(['get', 'pods', '-l', 'app=web']), 'items'),
      (items) => Array.isArray(items) && items.length === 1 && at(items[0], 'metadata', 'deletionTimestamp') === undefined,
      60,
    );
    return (list as unknown[])[0];
  };
  const webName = async () => stringAt(await webPod(), 'metadata', 'name') ?? '';
  const restarted = () => product.kubectl(['rollout', 'status', 'deployment/web', '--timeout=60s']);
  const containersOf = (object: unknown) => JSON.stringify(at(object, 'spec', 'initContainers') ?? []);
  const attachAsMic = async () => {
    const body = JSON.stringify({ do: 'attach', resource: scaleSetId, identities: [identities.demo.id] });
    const { ok } = await fetch(`${product.cluster.emulatorControlUrl}/actions`, { method: 'POST', body });
    assert.ok(ok);
  };
  /** The object that a MIC writes for the pod. */
  const assignAsMic = async () => {
    const name = await webName();
    const get = (kind: string, object: string) => product.json(['get', kind, object]);
    await product.apply({
      apiVersion: 'aadpodidentity.k8s.io/v1',
      kind: 'AzureAssignedIdentity',
      metadata: { name: `${name}-default-demo`, labels: { nodename: product.cluster.nodeName }, finalizers: [assignedIdentityFinalizer] },
      spec: {
        azureIdentityRef: await get('azureidentity', 'demo'),
        azureBindingRef: await get('azureidentitybinding', 'demo-web'),
        pod: name,
        podNamespace: 'default',
        nodename: product.cluster.nodeName,
        replicas: 1,
      },
      status: { status: 'Assigned', availableReplicas: 1 },
    });
  };
  const untilEvent = (namespace: string, reason: string, message: RegExp) =>
    eventually(
      `Event ${reason}`,
      () => product.kubectl(['get', 'events', '-n', namespace, '--field-selector', `reason=${reason}`]),
      (text) => message.test(text),
      60,
    );
  const patches = async () => {
    const log_ = await (await fetch(`${product.cluster.emulatorControlUrl}/requests?service=arm`)).text();
    return log_.match(/"method": ?"PATCH"/g)?.length ?? 0;
  };

  it('moves: installs beside aad-pod-identity and gives way to its MIC', async () => {
    const printed = await follow('migration.md', '### 1. Install beside it');
    assert.match(printed, /nmi\.allowNetworkPluginKubenet: nothing depends on the network plugin/);
    await untilEvent('default', 'UpstreamControllerRuns', /endpoints\/aad-pod-identity-mic/);
    assert.doesNotMatch(containersOf(await webPod()), /aad-pod-identity-proxy/);
  });

  it('starts without a pod that could not be created', async () => {
    const events = await product.kubectl(['get', 'events', '-n', releaseNamespace, '-o', 'json']);
    assert.doesNotMatch(events, /FailedCreate/);
  });

  it('moves: gives restarted pods a token proxy while MIC still assigns', async () => {
    await follow('migration.md', '### 2. Restart the workloads');
    await restarted();
    assert.match(containersOf(await webPod()), /aad-pod-identity-proxy/);
    await assignAsMic();
    assert.equal(await product.appOf(await webName()), demo);
  });

  it('moves: takes over from MIC without a write to Azure, and lets NMI go', async () => {
    const before_ = await patches();
    await follow('migration.md', '### 3. Switch MIC off');
    const object = `${await webName()}-default-demo`;
    await eventually(
      'taken over',
      () => product.json(['get', 'azureassignedidentity', object]),
      (found) => stringAt(found, 'metadata', 'annotations', annotations.podUid) !== undefined,
      60,
    );
    await follow('migration.md', '### 4. Switch NMI off');
    assert.equal(await product.appOf(await webName(), 'https://management.azure.com/'), demo);
    assert.equal(await patches(), before_);
  });

  it('moves: tells what went with aad-pod-identity, and the upgrade makes it', async () => {
    const [uninstall = '', ...rest] = lines('migration.md', '### 5. Uninstall aad-pod-identity');
    await shell(uninstall);
    await untilEvent(
      releaseNamespace,
      'ObjectsMissing',
      /aks-addon-exception and ClusterRole aad-pod-identity-view, aad-pod-identity-edit missing/,
    );
    for (const line of rest) await shell(line);
    await product.kubectl(['get', 'azurepodidentityexception', 'aks-addon-exception', '-n', 'kube-system']);
    await product.kubectl(['get', 'clusterrole', 'aad-pod-identity-view', 'aad-pod-identity-edit']);
    assert.equal(await product.appOf(await webName(), 'https://graph.microsoft.com/'), demo);
  });

  it('goes back: leaves pods and identities to aad-pod-identity', async () => {
    const [prepare = '', uninstall = '', install = '', restart = ''] = lines('migration.md', '### The way back');
    const name = await webName();
    await shell(prepare);
    await shell(uninstall);
    assert.deepEqual(await product.attached(), ['demo', 'kubelet']);
    assert.equal(await product.appOf(name), demo);
    await shell(install);
    await assignAsMic();
    assert.equal(await product.appOf(name), demo);
    await shell(restart);
    await restarted();
    assert.doesNotMatch(containersOf(await webPod()), /aad-pod-identity/);
    assert.deepEqual(await product.attached(), ['demo', 'kubelet']);
    const [object] = [`${name}-default-demo`];
    assert.equal(stringAt(await product.json(['get', 'azureassignedidentity', object]), 'status', 'status'), 'Assigned');
  });

  it('installs by docs/first-pod.md, to a token', async () => {
    await shell('helm uninstall aad-pod-identity -n kube-system --wait');
    await product.kubectl(['delete', 'deployment', 'web']);
    const [install = '', ...look] = commandsOf('first-pod.md', '## Install the chart');
    await shell(install);
    const seen = await Promise.all(look.map(shell));
    assert.equal(seen.join('').match(/1\/1 +Running/g)?.length, 6);
    await untilEvent(releaseNamespace, 'WebhookRegistered', /the API server calls the webhook from now on/);

    const [apply = '', ask = '', status = ''] = commandsOf('first-pod.md', '## Give a pod an identity');
    await shell(apply);
    const answer: unknown = JSON.parse(await shell(ask));
    assert.equal(readJwt(stringAt(answer, 'access_token') ?? '')?.claims.appid, identities.second.clientId);
    assert.ok((await patches()) > 0);
    await eventually(
      'the identity and the Event are shown',
      () => shell(status),
      (text) => /my-app-default-my-identity(?:.|\n)*Attached/.test(text),
    );
  });

  it('tests the release by docs/first-pod.md', async () => {
    assert.match(await follow('first-pod.md', '## Test the release'), /\npassed: webhook, redirect, token proxy and broker work\. /);
  });

  it('shows the links from pod to token by docs/debugging.md', async () => {
    const injected = await follow('debugging.md', '## 1. Is the pod injected?');
    assert.match(injected, /^redirect\n\{.*\}\naad-pod-identity-init aad-pod-identity-proxy\ninject\.aadpodidentity\.k8s\.io\n/);
    assert.match(injected, /"decision":"inject"/);
    const proxy = await follow('debugging.md', '## 3. What does the token proxy know?');
    for (const text of [
      '"msg":"broker reached"',
      '"msg":"token fetched"',
      '"state":"Assigned"',
      '"xms_mirid"',
      'server: IMDS/aad-pod-identity/',
    ])
      assert.ok(proxy.includes(text), text);
    const controller = await follow('debugging.md', '## 5. What does the controller do?');
    for (const text of ['my-app-default-my-identity', '"msg":"scope written"', '"state": "owned"', '"state": "working"'])
      assert.ok(controller.includes(text), text);
  });

  it('finds no difference between cluster and chart by docs/gitops.md', async () => {
    assert.equal(await follow('gitops.md', '## What the programs write'), '');
  });
});
