// What `helm install` makes with the chart's own values: names, rights, selectors, confinement.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { before, describe, it } from 'node:test';
import { loadAllYaml } from '@kubernetes/client-node';
import {
  bindingLabel,
  brokerAudience,
  brokerCertificateSecretName,
  brokerServiceName,
  caBundleConfigMapName,
  caSecretName,
  leaderLeaseName,
  ports,
  tokenFile,
  webhookCertificateSecretName,
  webhookConfigurationName,
  webhookServiceName,
} from '../../api/names.ts';
import { version } from '../../api/version.ts';
import { settings as brokerSettings } from '../../broker/settings.ts';
import type { WebhookEntry } from '../../controller/certificates/webhook-entries-setting.ts';
import { parseWebhookEntries } from '../../controller/certificates/webhook-entries-setting.ts';
import { settings as controllerSettings } from '../../controller/settings.ts';
import { excludedNamespaces } from '../../lib/identities/namespace.ts';
import { at, stringAt } from '../../lib/kube/objects.ts';
import { parseSettings } from '../../lib/settings.ts';
import { settings as webhookSettings } from '../../webhook/settings.ts';
import { golden } from './golden.ts';
import type { KubeObject } from './render.ts';
import { chart, environmentOf, find, helm, podOf, render, required, template } from './render.ts';

const controller = 'aad-pod-identity-controller';
const broker = 'aad-pod-identity-broker';
const webhook = 'aad-pod-identity-webhook';

describe('the chart with its own values', () => {
  let objects: KubeObject[];
  let entries: readonly WebhookEntry[];
  before(async () => {
    objects = await render();
    entries = parseWebhookEntries(environmentOf(objects, controller).WEBHOOK_ENTRIES ?? '');
  });

  it('passes helm lint', async () => {
    const { code, stdout, stderr } = await helm('lint', '--strict', '--kube-version', '1.36.3', ...required, chart);
    assert.equal(code, 0, stdout + stderr);
  });

  it('has the version of the programs', () => {
    const [about] = loadAllYaml(readFileSync(path.join(chart, 'Chart.yaml'), 'utf8')) as KubeObject[];
    assert.deepEqual([about?.version, about?.appVersion], [version, version]);
  });

  it('needs the version of Kubernetes that README names, and refuses an older one', async () => {
    const readme = readFileSync(path.resolve(chart, '../../README.md'), 'utf8');
    const minor = Number(/needs Kubernetes 1\.(\d+) or later/.exec(readme)?.[1]);
    const [about] = loadAllYaml(readFileSync(path.join(chart, 'Chart.yaml'), 'utf8')) as KubeObject[];
    assert.equal(about?.kubeVersion, `>=1.${minor}.0-0`);
    await render('--kube-version', `1.${minor}.0`);
    const { stderr } = await template('--kube-version', `1.${minor - 1}.15`);
    assert.match(stderr, /requires kubeVersion/);
  });

  it('excepts AKS add-ons in kube-system, unless installMICException is false', async () => {
    const exceptionsOf = (rendered: readonly KubeObject[]) => rendered.filter(({ kind }) => kind === 'AzurePodIdentityException');
    const [exception, ...others] = exceptionsOf(objects);
    assert.deepEqual(others, []);
    assert.deepEqual(
      [stringAt(exception, 'metadata', 'namespace'), stringAt(exception, 'metadata', 'name'), at(exception, 'spec', 'podLabels')],
      ['kube-system', 'aks-addon-exception', { 'kubernetes.azure.com/managedby': 'aks' }],
    );
    assert.deepEqual(exceptionsOf(await render('--set', 'installMICException=false')), []);
  });

  it('grants exactly these rights', () => {
    const roles = objects.filter((one) => one.kind === 'ClusterRole' || one.kind === 'Role');
    golden('rbac', Object.fromEntries(roles.map((role) => [`${String(role.kind)} ${stringAt(role, 'metadata', 'name')}`, role.rules])));
    for (const role of roles) assert.doesNotMatch(JSON.stringify(role.rules), /"\*"/, 'no wildcard');
  });

  it('lets the webhook nowhere near the CA key', () => {
    const rules = [find(objects, 'Role', webhook), find(objects, 'ClusterRole', webhook)].flatMap(
      (role) => role.rules as { resources?: string[]; resourceNames?: string[] }[],
    );
    const secretRules = rules.filter((rule) => rule.resources?.includes('secrets'));
    assert.deepEqual(
      secretRules.map((rule) => rule.resourceNames),
      [[webhookCertificateSecretName]],
    );
    assert.doesNotMatch(JSON.stringify(rules), new RegExp(`"${caSecretName}"|"create"|"update"|"patch"`));
  });

  it('limits the writes of the broker to assignments, Events and token reviews', () => {
    const rules = [find(objects, 'Role', broker), find(objects, 'ClusterRole', broker)].flatMap(
      (role) => role.rules as { resources?: string[]; resourceNames?: string[]; verbs: string[] }[],
    );
    const writes = rules.filter((rule) => rule.verbs.some((verb) => !['get', 'list', 'watch'].includes(verb)));
    assert.deepEqual(
      writes.map((rule) => rule.resources),
      [['azureassignedidentities'], ['events'], ['tokenreviews']],
    );
    assert.doesNotMatch(JSON.stringify(rules), new RegExp(`"${caSecretName}"|"nodes"|"leases"|"delete"|"update"`));
  });

  it('lets the controller read no Secret but its own, and review no token', () => {
    const rules = [find(objects, 'Role', controller), find(objects, 'ClusterRole', controller)].flatMap(
      (role) => role.rules as { resources?: string[]; resourceNames?: string[]; verbs: string[] }[],
    );
    const secretRules = rules.filter((rule) => rule.resources?.includes('secrets') && !rule.verbs.includes('create'));
    assert.deepEqual(
      secretRules.map((rule) => rule.resourceNames),
      [[caSecretName, webhookCertificateSecretName, brokerCertificateSecretName]],
    );
    assert.doesNotMatch(JSON.stringify(rules), /tokenreviews|nonResourceURLs/);
  });

  it("registers for labelled pods outside kube-system, with AKS's own expressions", () => {
    golden('webhook-entries', entries);
    assert.doesNotMatch(JSON.stringify(objects), /caBundle/);
  });

  it('renders the webhook configuration without entries, which the controller adds', () => {
    assert.equal(find(objects, 'MutatingWebhookConfiguration', webhookConfigurationName).webhooks, undefined);
  });

  it('keeps the webhook from the namespaces that the controller calls excluded', () => {
    const byName = entries[0]?.namespaceSelector.matchExpressions?.filter(({ key }) => key === 'kubernetes.io/metadata.name');
    assert.deepEqual(byName, [{ key: 'kubernetes.io/metadata.name', operator: 'NotIn', values: [...excludedNamespaces] }]);
  });

  it('uses the names and ports that the programs expect', () => {
    for (const [service, port, target] of [
      [brokerServiceName, ports.broker.api, 'broker'],
      [webhookServiceName, 443, 'https'],
    ] as const) {
      const spec = find(objects, 'Service', service).spec as {
        ports: { port: number; targetPort: string }[];
        publishNotReadyAddresses?: boolean;
      };
      assert.deepEqual(
        spec.ports.map((one) => [one.port, one.targetPort]),
        [[port, target]],
      );
      assert.equal(spec.publishNotReadyAddresses, undefined);
    }
    const portsOf = (name: string) =>
      (podOf(objects, name).spec as { containers: { ports: { containerPort: number }[] }[] }).containers[0]?.ports.map(
        (one) => one.containerPort,
      );
    assert.deepEqual(portsOf(controller), [ports.controller.metrics, ports.controller.probes]);
    assert.deepEqual(portsOf(broker), [ports.broker.api, ports.broker.metrics, ports.broker.probes]);
    assert.deepEqual(portsOf(webhook), [ports.webhook.admission, ports.webhook.metrics, ports.webhook.probes]);
    const named = JSON.stringify(find(objects, 'Role', controller).rules);
    for (const name of [caSecretName, webhookCertificateSecretName, brokerCertificateSecretName, leaderLeaseName])
      assert.ok(named.includes(`"${name}"`), name);
    for (const [name, ...named] of [
      [webhook, webhookCertificateSecretName, caBundleConfigMapName],
      // It lists all ConfigMaps of the release namespace, for the federation records.
      [broker, brokerCertificateSecretName],
    ] as const)
      for (const object of named) assert.ok(JSON.stringify(find(objects, 'Role', name).rules).includes(`"${object}"`), `${name} ${object}`);
  });

  for (const name of [controller, broker, webhook]) {
    it(`spreads the replicas of ${name} over zones and nodes`, () => {
      const { labels, spec } = podOf(objects, name);
      const constraints = spec.topologySpreadConstraints as { topologyKey: string; labelSelector: { matchLabels: object } }[];
      assert.deepEqual(
        constraints.map(({ topologyKey }) => topologyKey),
        ['topology.kubernetes.io/zone', 'kubernetes.io/hostname'],
      );
      for (const { labelSelector } of constraints)
        for (const [key, value] of Object.entries(labelSelector.matchLabels)) assert.equal(labels[key], value, key);
    });

    it(`runs two replicas of ${name}, confined, without service links and out of meshes`, () => {
      const { labels, annotations, spec } = podOf(objects, name);
      assert.equal(at(find(objects, 'Deployment', name), 'spec', 'replicas'), 2);
      assert.equal(bindingLabel in labels, false);
      assert.equal(spec.enableServiceLinks, false);
      assert.deepEqual(at(spec, 'securityContext', 'runAsNonRoot'), true);
      assert.equal(annotations['sidecar.istio.io/inject'], 'false');
      const [container] = spec.containers as KubeObject[];
      assert.deepEqual(container?.securityContext, {
        allowPrivilegeEscalation: false,
        privileged: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      });
      assert.equal(stringAt(find(objects, 'ServiceAccount', name), 'metadata', 'namespace'), 'system');
      assert.deepEqual(
        at(find(objects, 'PodDisruptionBudget', name), 'spec', 'selector'),
        at(find(objects, 'Deployment', name), 'spec', 'selector'),
      );
    });
  }

  it('mounts the tokens of federation where the programs read them, and nowhere else', () => {
    const tokensOf = (name: string) => {
      const { volumes = [], containers } = podOf(objects, name).spec as {
        volumes?: { name: string; projected?: { sources: { serviceAccountToken: { audience: string; path: string } }[] } }[];
        containers: { volumeMounts?: { name: string; mountPath: string; readOnly?: boolean }[] }[];
      };
      return volumes.flatMap(({ name: volume, projected }) =>
        (projected?.sources ?? []).map(({ serviceAccountToken: { audience, path } }) => {
          const mount = containers[0]?.volumeMounts?.find((one) => one.name === volume);
          return [audience, `${mount?.mountPath}/${path}`, mount?.readOnly];
        }),
      );
    };
    const { federatedTokenFile } = parseSettings(brokerSettings, [], environmentOf(objects, broker));
    assert.deepEqual(tokensOf(broker), [['api://AzureADTokenExchange', federatedTokenFile, true]]);
    assert.deepEqual(tokensOf(controller), [[brokerAudience, tokenFile, true]]);
    assert.deepEqual(tokensOf(webhook), []);
  });

  it('leaves the programs their own defaults', () => {
    const webhookValues = parseSettings(webhookSettings, [], environmentOf(objects, webhook));
    const controllerValues = parseSettings(controllerSettings, [], environmentOf(objects, controller));
    const brokerValues = parseSettings(brokerSettings, [], environmentOf(objects, broker));
    for (const [values, table, given] of [
      [brokerValues, brokerSettings, ['federatedTokenFile']],
      [webhookValues, webhookSettings, ['sidecarImage', 'sidecarSettingsHash']],
      [controllerValues, controllerSettings, ['sidecarSettingsHash', 'webhookEntries', 'expectedExceptions', 'useMsi']],
    ] as const)
      for (const [name, setting] of Object.entries(table))
        if (!(given as readonly string[]).includes(name))
          assert.deepEqual((values as Record<string, unknown>)[name], setting.fallback, name);
  });
});
