// The roles of docs/troubleshooting.md#rights are enough for every command, and each right of them that is missing is named.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { parse, parseAllDocuments, stringify } from 'yaml';
import { bindingLabel, brokerServiceName, injectedLabel, proxyContainerName, webhookConfigurationName } from '../../../api/names.ts';
import type { KubeClient } from '../../../lib/kube/client.ts';
import { connect, mergePatch } from '../../../lib/kube/client.ts';
import { at, stringAt } from '../../../lib/kube/objects.ts';
import { mutatingWebhookConfigurations, nodes, pods, resourcePath } from '../../../lib/kube/resources.ts';
import type { ControlPlane } from '../../cluster/control-plane.ts';
import { leaseControlPlane } from '../../harness/control-plane.ts';
import { installCrds } from '../../harness/crds.ts';
import { createEndpointSlice } from '../../harness/endpoint-slice.ts';
import { eventually } from '../../harness/wait.ts';
import { runPlugin } from './plugin.ts';

interface Rule {
  apiGroups: string[];
  resources: string[];
  resourceNames?: string[];
  verbs: string[];
}

/** One verb on one kind. */
type Right = Rule & { verb: string; resource: string };

const page = readFileSync(path.resolve(import.meta.dirname, '../../../docs/troubleshooting.md'), 'utf8');
const [, yaml = ''] = /\n## Rights\n.*?```yaml\n(.*?)```/s.exec(page) ?? [];
const rights = parseAllDocuments(yaml)
  .flatMap((document) => (document.toJS() as { rules: Rule[] }).rules)
  .flatMap((rule): Right[] =>
    rule.resources.flatMap((resource) => rule.verbs.map((verb) => ({ ...rule, resources: [resource], verbs: [verb], verb, resource }))),
  );

/** Only the owners that a pod has are read. */
const ofOwners = new Set(['deployments', 'statefulsets', 'daemonsets', 'jobs', 'cronjobs']);
/** Which verb opens an exec depends on the version of Kubernetes, so the plugin names both. */
const named = rights.filter(({ resource }) => !ofOwners.has(resource) && resource !== 'pods/exec');

const rbac = '/apis/rbac.authorization.k8s.io/v1';
const pod = 'rights';
const everything = 'everything';

describe('the rights of the plugin', () => {
  let plane: ControlPlane;
  let client: KubeClient;
  /** A pod of a ReplicaSet, without a token proxy. */
  let owned: string;

  async function grant(user: string, rules: readonly Rule[]): Promise<void> {
    const metadata = { name: `check-${user}` };
    const clean = rules.map(({ apiGroups, resources, resourceNames, verbs }) => ({
      apiGroups,
      resources,
      verbs,
      ...(resourceNames === undefined ? {} : { resourceNames }),
    }));
    await client.call('POST', `${rbac}/clusterroles`, { body: { metadata, rules: clean } });
    const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: metadata.name };
    const subjects = [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: user }];
    await client.call('POST', `${rbac}/clusterrolebindings`, { body: { metadata, roleRef, subjects } });
  }

  /** The administrator acts as the user. */
  function kubeconfigFor(user: string): string {
    const config = parse(readFileSync(plane.kubeconfig, 'utf8')) as { users: { user: Record<string, unknown> }[] };
    for (const entry of config.users) entry.user.as = user;
    const file = path.join(plane.folder, `rights-${user}.yaml`);
    writeFileSync(file, stringify(config), { mode: 0o600 });
    return file;
  }

  /** What every command prints for the user. */
  async function outputFor(user: string): Promise<string> {
    const kubeconfig = kubeconfigFor(user);
    const results = await Promise.all(
      [['check'], ['check', 'pod', pod], ['check', 'pod', owned], ['list', '--who', pod]].map((args) =>
        runPlugin(kubeconfig, args[0] === 'check' ? [...args, '--release-namespace=default'] : args),
      ),
    );
    return results.map(({ stdout, stderr }) => stdout + stderr).join('');
  }

  before(async () => {
    plane = await leaseControlPlane();
    client = connect({ kubeconfig: plane.kubeconfig, userAgent: 'test', qps: 1000 });
    await installCrds(plane);
    // Without entries, so that it calls nobody.
    await client.call('POST', resourcePath(mutatingWebhookConfigurations), { body: { metadata: { name: webhookConfigurationName } } });
    await createEndpointSlice(client, { namespace: 'default', name: pod, service: brokerServiceName });
    const ours = '/apis/aadpodidentity.k8s.io/v1/namespaces/default';
    const custom = { apiVersion: 'aadpodidentity.k8s.io/v1', metadata: { name: pod } };
    await client.call('POST', `${ours}/azureidentities`, { body: { ...custom, kind: 'AzureIdentity', spec: {} } });
    const spec = { azureIdentity: pod, selector: pod };
    await client.call('POST', `${ours}/azureidentitybindings`, { body: { ...custom, kind: 'AzureIdentityBinding', spec } });
    const labels = { [bindingLabel]: pod };
    const template = { metadata: { labels: { ...labels, app: pod } }, spec: { containers: [{ name: 'app', image: 'app' }] } };
    await client.call('POST', '/apis/apps/v1/namespaces/default/replicasets', {
      body: { metadata: { name: pod }, spec: { replicas: 1, selector: { matchLabels: { app: pod } }, template } },
    });
    const place = resourcePath(pods, { namespace: 'default' });
    await eventually(async () => {
      const [made] = at(await client.call('GET', place, { query: { labelSelector: `app=${pod}` } }), 'items') as unknown[];
      owned = stringAt(made, 'metadata', 'name') ?? '';
      return owned !== '';
    }, 'the ReplicaSet has a pod');
    // A pod of a node that does not exist is collected.
    await client.call('POST', resourcePath(nodes), { body: { metadata: { name: 'node-rights' } } });
    const containers = [proxyContainerName, 'app'].map((name) => ({ name, image: 'x' }));
    const metadata = { name: pod, labels: { ...labels, [injectedLabel]: 'redirect' } };
    await client.call('POST', place, { body: { metadata, spec: { nodeName: 'node-rights', containers } } });
    const containerStatuses = containers.map(({ name }) => ({
      name,
      state: { running: {} },
      ready: true,
      restartCount: 0,
      image: 'x',
      imageID: 'x',
    }));
    await client.call('PATCH', `${place}/${pod}/status`, {
      contentType: mergePatch,
      body: { status: { phase: 'Running', containerStatuses } },
    });
    for (const [index, missing] of named.entries())
      await grant(
        `without-${index}`,
        rights.filter((right) => right !== missing),
      );
    await grant(
      'reader',
      rights.filter(({ resource, verb }) => resource !== 'pods/exec' && verb !== 'create'),
    );
    await grant(everything, rights);
  });
  after(async () => {
    await client?.call('DELETE', resourcePath(mutatingWebhookConfigurations, { name: webhookConfigurationName }));
    await client?.close();
    await plane?.stop();
  });

  it('are enough for every command as the page has them', async () => {
    let output = '';
    // The API server learns of a role some milliseconds later.
    await eventually(async () => {
      output = await outputFor(everything);
      return !/may not|forbidden/i.test(output);
    }, 'every right is there').catch(() => assert.fail(output));
    assert.match(output, /SidecarUnreachable/);
  });

  for (const [index, { verb, resource }] of named.entries())
    it(`are named where one may not ${verb} ${resource}`, async () => {
      const output = await outputFor(`without-${index}`);
      assert.match(output, new RegExp(`(?:may not|cannot) ${verb} (?:resource ")?${resource}\\b`));
    });

  it('are named where one may not ask token proxies', async () => {
    const output = await outputFor('reader');
    assert.match(
      output,
      /\[unknown\] from node node-rights, by pod default\/rights: you may not get and create pods\/exec in namespace default/,
    );
    assert.match(output, /\[unknown\] trial: .*cannot create resource "pods"/);
  });
});
