// What the controller's account can do with its rights: the entries of the chart, its own objects, and nothing else.
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import {
  brokerCertificateSecretName,
  caBundleConfigMapName,
  caSecretName,
  leaderLeaseName,
  webhookConfigurationName,
} from '../../../api/names.ts';
import { entryOf } from '../../../controller/certificates/testing/entries.ts';
import { ensureEntries } from '../../../controller/certificates/webhook-configuration.ts';
import type { WebhookEntry } from '../../../controller/certificates/webhook-entries-setting.ts';
import type { KubeClient } from '../../../lib/kube/client.ts';
import { jsonPatch, mergePatch } from '../../../lib/kube/client.ts';
import { at } from '../../../lib/kube/objects.ts';
import { configMaps, leases, mutatingWebhookConfigurations, resourcePath, secrets } from '../../../lib/kube/resources.ts';
import { eventually } from '../../harness/wait.ts';
import type { InstalledChart } from './installed.ts';
import { entriesOfChart, installChart, releaseNamespace } from './installed.ts';

const configurationPath = resourcePath(mutatingWebhookConfigurations, { name: webhookConfigurationName });
const controllerAccount = 'aad-pod-identity-controller';
const aks = { key: 'kubernetes.azure.com/managedby', operator: 'DoesNotExist' };

let installed: InstalledChart;
let controller: KubeClient;
let entries: readonly WebhookEntry[];

before(async () => {
  installed = await installChart(
    '--set',
    'webhook.namespaceSelectorExpressions[0].key=team,webhook.namespaceSelectorExpressions[0].operator=Exists',
  );
  controller = await installed.as(controllerAccount);
  entries = await entriesOfChart(installed.admin, releaseNamespace);
  // The API server applies a policy some moments after it was made.
  await eventually(
    () => tryToWrite([{ op: 'add', path: '/metadata/labels/probe', value: 'x' }]).then((text) => /metadata\.labels/.test(text)),
    'the policy applies',
  );
});
after(() => installed?.stop());

async function tryToWrite(body: unknown[], client = controller): Promise<string> {
  try {
    await client.call('PATCH', configurationPath, { query: { dryRun: 'All' }, contentType: jsonPatch, body });
    return 'allowed';
  } catch (error) {
    return String(error);
  }
}

const register = (bundle = 'a') =>
  ensureEntries({
    client: controller,
    name: webhookConfigurationName,
    entries,
    bundle: `-----BEGIN CERTIFICATE-----\n${bundle}\n-----END CERTIFICATE-----\n`,
    isServing: true,
    signal: new AbortController().signal,
  });

describe('the webhook configuration, for the account of the controller', () => {
  beforeEach(() => installed.admin.call('PATCH', configurationPath, { contentType: mergePatch, body: { webhooks: null } }));

  it('takes the entries of the chart, another caBundle and what AKS adds', async () => {
    await installed.admin.call('PATCH', configurationPath, {
      contentType: mergePatch,
      body: { webhooks: [{ ...entries[0], failurePolicy: 'Ignore', namespaceSelector: { matchExpressions: [aks] } }] },
    });
    assert.deepEqual(await register('YQ=='), { registration: 'registered', written: true });
    assert.deepEqual(await register('YQ=='), { registration: 'registered', written: false });
    assert.deepEqual(await register('Yg=='), { registration: 'registered', written: true });
    const stored = at(await installed.admin.call('GET', configurationPath), 'webhooks');
    assert.ok(JSON.stringify(stored).includes('DoesNotExist'), 'the expression of AKS stays');
  });

  it('keeps the entry of somebody else through an update', async () => {
    const other = { ...entryOf('inject', 'other'), name: 'other.example.com' };
    await installed.admin.call('PATCH', configurationPath, { contentType: mergePatch, body: { webhooks: [other] } });
    assert.deepEqual(await register(), { registration: 'registered', written: true });
    assert.match(await tryToWrite([{ op: 'remove', path: '/webhooks/1' }]), /the controller removes no entry/);
    assert.match(
      await tryToWrite([{ op: 'replace', path: '/webhooks/1/failurePolicy', value: 'Ignore' }]),
      /adds and changes no entry but inject\.aadpodidentity\.k8s\.io/,
    );
  });

  const service = { name: 'aad-pod-identity-webhook', namespace: releaseNamespace, path: '/mutate', port: 443 };
  const replace = (path: string, value: unknown) => [{ op: 'replace', path: `/webhooks/0/${path}`, value }];
  const add = (path: string, value: unknown) => [{ op: 'add', path: `/webhooks/0/${path}`, value }];
  const attacks: [what: string, patch: unknown[], refusal: RegExp][] = [
    ['a url', replace('clientConfig', { url: 'https://attacker.example/mutate' }), /clientConfig: .* no url/],
    ['another Service', replace('clientConfig/service', { ...service, name: 'attacker' }), /clientConfig: /],
    ['a Service of another namespace', replace('clientConfig/service', { ...service, namespace: 'default' }), /clientConfig: /],
    ['another path', replace('clientConfig/service/path', '/x'), /clientConfig: /],
    ['another port', replace('clientConfig/service/port', 8443), /clientConfig: /],
    ['every resource', replace('rules/0/resources', ['*']), /rules: /],
    ['Secrets', add('rules/-', { apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['secrets'] }), /rules: /],
    ['updates', replace('rules/0/operations', ['CREATE', 'UPDATE']), /rules: /],
    ['no rule', replace('rules', []), /rules: /],
    ['failurePolicy Ignore', replace('failurePolicy', 'Ignore'), /failurePolicy: /],
    ['matchPolicy Exact', replace('matchPolicy', 'Exact'), /matchPolicy: /],
    ['reinvocationPolicy Never', replace('reinvocationPolicy', 'Never'), /reinvocationPolicy: /],
    ['another time-out', replace('timeoutSeconds', 30), /timeoutSeconds: /],
    ['side effects', replace('sideEffects', 'NoneOnDryRun'), /sideEffects: /],
    ['no objectSelector', replace('objectSelector', {}), /objectSelector: /],
    ['no namespaceSelector', replace('namespaceSelector', {}), /namespaceSelector: /],
    ['a label in the namespaceSelector', add('namespaceSelector/matchLabels', { team: 'x' }), /namespaceSelector: /],
    ['another exempted namespace', replace('namespaceSelector/matchExpressions/0/values', ['kube-system', 'team']), /namespaceSelector: /],
    ['only namespaces of AKS', add('namespaceSelector/matchExpressions/-', { ...aks, operator: 'Exists' }), /namespaceSelector: /],
    ['a matchCondition', add('matchConditions', [{ name: 'never', expression: 'false' }]), /matchConditions: /],
    ['one more entry', [{ op: 'add', path: '/webhooks/-', value: entryOf('more', releaseNamespace) }], /no entry but inject/],
    ['no entry', [{ op: 'remove', path: '/webhooks/0' }], /the controller removes no entry/],
    ['another name', replace('name', 'more.aadpodidentity.k8s.io'), /no entry/],
    ['another label', [{ op: 'remove', path: '/metadata/labels' }], /metadata\.labels: /],
    ['an annotation', [{ op: 'add', path: '/metadata/annotations/x', value: 'y' }], /metadata\.annotations: /],
    ['a finalizer', [{ op: 'add', path: '/metadata/finalizers', value: ['x.example/y'] }], /metadata\.finalizers: /],
    [
      'an owner',
      [{ op: 'add', path: '/metadata/ownerReferences', value: [{ apiVersion: 'v1', kind: 'Node', name: 'n', uid: 'u' }] }],
      /metadata\.ownerReferences: /,
    ],
  ];
  for (const [what, patch, refusal] of attacks)
    it(`refuses ${what}, which an administrator may write`, async () => {
      await register();
      assert.match(await tryToWrite(patch), refusal);
      assert.equal(await tryToWrite(patch, installed.admin), 'allowed');
    });

  it('can be neither deleted nor made', async () => {
    await assert.rejects(controller.call('DELETE', configurationPath), /cannot delete/);
    const body = { metadata: { name: 'another' } };
    await assert.rejects(controller.call('POST', resourcePath(mutatingWebhookConfigurations), { body }), /cannot create/);
  });
});

describe('the release namespace, for the account of the controller', () => {
  const namespace = releaseNamespace;
  const managed = { 'app.kubernetes.io/managed-by': 'aad-pod-identity-controller' };
  const create = (resource: typeof secrets, body: object, client = controller) =>
    client.call('POST', resourcePath(resource, { namespace }), { body: { apiVersion: 'v1', kind: resource.kind, ...body } });

  it('takes the three Secrets and refuses others, and tokens of service accounts', async () => {
    await create(secrets, { metadata: { name: caSecretName }, type: 'Opaque' });
    await assert.rejects(create(secrets, { metadata: { name: 'other' } }), /writes secrets with these names only: aad-pod-identity-ca, /);
    await assert.rejects(create(secrets, { metadata: { generateName: 'aad-pod-identity-ca' } }), /with these names only/);
    const annotations = { 'kubernetes.io/service-account.name': 'aad-pod-identity-broker' };
    await assert.rejects(
      create(secrets, { metadata: { name: brokerCertificateSecretName, annotations }, type: 'kubernetes.io/service-account-token' }),
      /of the types Opaque and kubernetes\.io\/tls only/,
    );
  });

  it('takes ConfigMaps by name and by label, and refuses others', async () => {
    await create(configMaps, { metadata: { name: caBundleConfigMapName } });
    await create(configMaps, { metadata: { name: 'record', labels: managed } });
    await create(configMaps, { metadata: { name: 'theirs', labels: { a: 'b' } } }, installed.admin);
    const pathOf = (name: string) => resourcePath(configMaps, { namespace, name });
    const label = { contentType: mergePatch, body: { metadata: { labels: managed } } };
    const refusal = /writes configmaps with these names only: aad-pod-identity-ca-bundle; and those labelled/;
    await assert.rejects(create(configMaps, { metadata: { name: 'more' } }), refusal);
    await assert.rejects(controller.call('PATCH', pathOf('theirs'), label), refusal);
    await assert.rejects(controller.call('DELETE', pathOf('theirs')), refusal);
    await controller.call('PATCH', pathOf('record'), { contentType: mergePatch, body: { data: { a: 'b' } } });
    await assert.rejects(
      controller.call('PATCH', pathOf('record'), { contentType: mergePatch, body: { metadata: { labels: null } } }),
      refusal,
    );
    await controller.call('DELETE', pathOf('record'));
  });

  it('takes its Lease and no other', async () => {
    const lease = (name: string) => ({ apiVersion: 'coordination.k8s.io/v1', metadata: { name } });
    await create(leases, lease(leaderLeaseName));
    await assert.rejects(create(leases, lease('other')), /writes leases with these names only: aad-pod-identity-controller/);
  });
});
