// The guard: nothing without guard.enabled, and with it policies that depend on each other.
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { parseWebhookEntries } from '../../controller/certificates/webhook-entries-setting.ts';
import { settings as controllerSettings } from '../../controller/settings.ts';
import { at, isRecord, stringAt } from '../../lib/kube/objects.ts';
import { parseSettings } from '../../lib/settings.ts';
import { settings as webhookSettings } from '../../webhook/settings.ts';
import { golden } from './golden.ts';
import type { KubeObject } from './render.ts';
import { chart, environmentOf, find, helm, render, required, template } from './render.ts';

const all = [
  'guard.enabled=true',
  'guard.networkPolicy.namespaces={team-a,team-b}',
  'guard.cilium.enabled=true',
  'guard.cilium.excludedNamespaces={monitoring}',
];
const isOfGuard = (object: KubeObject) => at(object, 'metadata', 'labels', 'app.kubernetes.io/component') === 'guard';

describe('the guard', () => {
  let objects: KubeObject[];
  before(async () => {
    objects = await render('--set', all.join(','));
  });

  it('renders nothing unless it is enabled', async () => {
    const without = await render('--set', all.map((value) => value.replace('enabled=true', 'enabled=false')).join(','));
    assert.deepEqual(without.filter(isOfGuard), []);
    assert.deepEqual(without, await render());
    assert.equal('GUARD_NAMESPACE_SELECTOR' in environmentOf(without, 'aad-pod-identity-controller'), false);
  });

  it('renders exactly these policies', () => {
    const rendered = objects.filter(isOfGuard);
    golden('guard', Object.fromEntries(rendered.map(({ kind, metadata, spec }) => [`${String(kind)} ${nameOf(metadata)}`, spec])));
  });

  it('passes helm lint', async () => {
    const { code, stdout, stderr } = await helm('lint', '--strict', '--kube-version', '1.36.3', ...required, '--set', all.join(','), chart);
    assert.equal(code, 0, stdout + stderr);
  });

  it('adds the right to list namespaces, and no other', async () => {
    const rulesOf = (rendered: readonly KubeObject[]) =>
      rendered.filter(({ kind }) => kind === 'ClusterRole' || kind === 'Role').flatMap(({ rules }) => rules as unknown[]);
    const before = new Set(rulesOf(await render()).map((rule) => JSON.stringify(rule)));
    const added = rulesOf(objects).filter((rule) => !before.has(JSON.stringify(rule)));
    assert.deepEqual(added, [{ apiGroups: [''], resources: ['namespaces'], verbs: ['list'] }]);
  });

  it('registers the webhook for unlabelled pods of guarded namespaces', async () => {
    const entriesOf = (rendered: readonly KubeObject[]) =>
      parseWebhookEntries(environmentOf(rendered, 'aad-pod-identity-controller').WEBHOOK_ENTRIES ?? '');
    const [first, second, ...others] = entriesOf(objects);
    golden('guard-webhook-entry', second);
    assert.deepEqual([first, ...others], entriesOf(await render()));
    const [, ignoring] = entriesOf(await render('--set', 'guard.enabled=true,guard.failurePolicy=Ignore'));
    assert.equal(ignoring?.failurePolicy, 'Ignore');
  });

  it('takes another selector for its namespaces', async () => {
    const selector = { matchExpressions: [{ key: 'tenant', operator: 'Exists' }] };
    const rendered = await render(
      '--set',
      'guard.enabled=true',
      '--set-json',
      `guard.namespaceSelector=${JSON.stringify({ ...selector, matchLabels: null })}`,
    );
    const [, entry] = parseWebhookEntries(environmentOf(rendered, 'aad-pod-identity-controller').WEBHOOK_ENTRIES ?? '');
    assert.equal(entry?.namespaceSelector.matchLabels, undefined);
    assert.deepEqual(entry?.namespaceSelector.matchExpressions?.at(-1), selector.matchExpressions[0]);
    const { guardNamespaceSelector } = parseSettings(webhookSettings, [], environmentOf(rendered, 'aad-pod-identity-webhook'));
    assert.deepEqual(guardNamespaceSelector, selector);
  });

  it('tells the webhook what it guards, and nothing without it', async () => {
    const settingsOf = (rendered: readonly KubeObject[]) => {
      const { guardNamespaceSelector, guardHostNetworkPods } = parseSettings(
        webhookSettings,
        [],
        environmentOf(rendered, 'aad-pod-identity-webhook'),
      );
      return { guardNamespaceSelector, guardHostNetworkPods };
    };
    const matchLabels = { 'aadpodidentity.k8s.io/guard': 'enabled' };
    assert.deepEqual(settingsOf(objects), { guardNamespaceSelector: { matchLabels }, guardHostNetworkPods: 'deny' });
    assert.equal(settingsOf(await render()).guardNamespaceSelector, undefined);
    const warning = await render('--set', 'guard.enabled=true,guard.hostNetworkPods=warn');
    assert.equal(settingsOf(warning).guardHostNetworkPods, 'warn');
  });

  it('hands its selector to the controller', () => {
    const { guardNamespaceSelector } = parseSettings(controllerSettings, [], environmentOf(objects, 'aad-pod-identity-controller'));
    assert.deepEqual(guardNamespaceSelector, { matchLabels: { 'aadpodidentity.k8s.io/guard': 'enabled' } });
  });

  it('warns and audits by default, and denies forged markers', () => {
    const bindings = objects.filter(isOfGuard).filter(({ kind }) => kind === 'ValidatingAdmissionPolicyBinding');
    const actions = bindings.map(({ metadata, spec }) => [nameOf(metadata), at(spec, 'validationActions')]);
    assert.deepEqual(Object.fromEntries(actions), {
      'aad-pod-identity-assigned-identities': ['Warn', 'Audit'],
      'aad-pod-identity-container-privileges': ['Warn', 'Audit'],
      'aad-pod-identity-ephemeral-containers': ['Warn', 'Audit'],
      'aad-pod-identity-exceptions': ['Warn', 'Audit'],
      'aad-pod-identity-exec': ['Deny'],
      'aad-pod-identity-marker': ['Deny'],
    });
  });

  // YAML reads a bare off as false.
  it('takes off as a text and as false', async () => {
    for (const off of ['off', 'false']) {
      const args = ['--set', `guard.enabled=true,guard.policies.exceptions=${off},guard.policies.marker=${off}`];
      const policies = (await render(...args)).filter(isOfGuard).filter(({ kind }) => kind === 'ValidatingAdmissionPolicy');
      const names = policies.map(({ metadata }) => nameOf(metadata));
      assert.deepEqual(names.sort(), [
        'aad-pod-identity-assigned-identities',
        'aad-pod-identity-container-privileges',
        'aad-pod-identity-ephemeral-containers',
        'aad-pod-identity-exec',
      ]);
    }
  });

  const selecting: [title: string, set: string, says: RegExp][] = [
    ['a network policy', 'guard.networkPolicy.namespaces={a}', /guard\.networkPolicy\.namespaces is set/],
    ['a Cilium policy', 'guard.cilium.enabled=true', /guard\.cilium\.enabled is true/],
    ['a denied debug container', 'guard.policies.ephemeralContainers=deny', /guard\.policies\.ephemeralContainers is deny/],
    ['a denied container', 'guard.policies.containerPrivileges=deny', /guard\.policies\.containerPrivileges is deny/],
  ];
  for (const [title, set, says] of selecting)
    it(`refuses a marker that may be forged beside ${title}`, async () => {
      for (const action of ['off', 'warn', 'audit']) {
        const { code, stderr } = await template('--set', `guard.enabled=true,guard.policies.marker=${action},${set}`);
        assert.notEqual(code, 0);
        assert.match(stderr, new RegExp(`guard\\.policies\\.marker is ${action}: accepted is deny`));
        assert.match(stderr, says);
      }
      const { code, stderr } = await template('--set', `guard.enabled=true,${set}`);
      assert.equal(code, 0, stderr);
    });

  it('keeps the marker from the namespaces that the webhook is not called for', async () => {
    const excluded = 'webhook.namespaceSelectorExpressions[0].key=team,webhook.namespaceSelectorExpressions[0].operator=DoesNotExist';
    const rendered = await render('--set', `guard.enabled=true,${excluded}`);
    const variables = at(find(rendered, 'ValidatingAdmissionPolicy', 'aad-pod-identity-marker'), 'spec', 'variables');
    const injected = Array.isArray(variables) ? variables.find((one) => isRecord(one) && one.name === 'namespaceInjected') : undefined;
    const terms = (stringAt(injected, 'expression') ?? '').split(' && ');
    assert.equal(terms[0], "!(variables.namespaceLabels[?'kubernetes.io/metadata.name'].orValue('-') in ['kube-system'])");
    assert.equal(terms.at(-1), "!('team' in variables.namespaceLabels)");
  });

  const refused: [title: string, set: string, says: RegExp][] = [
    ['an unknown action', 'guard.policies.exceptions=refuse', /exceptions/],
    ['an unknown policy', 'guard.policies.exception=warn', /exception/],
    ['no selector', 'guard.namespaceSelector=null', /namespaceSelector/],
    ['an empty selector', 'guard.strictNamespaceSelector.matchLabels=null', /strictNamespaceSelector/],
    ['no action', 'guard.policies.marker=null', /marker/],
    ['a namespace that is no name', 'guard.networkPolicy.namespaces={A}', /namespaces/],
  ];
  for (const [title, set, says] of refused)
    it(`refuses ${title}`, async () => {
      const { code, stderr } = await template('--set', `guard.enabled=true,${set}`);
      assert.notEqual(code, 0);
      assert.match(stderr, says);
    });
});

const nameOf = (metadata: unknown): string =>
  [at(metadata, 'namespace'), at(metadata, 'name')].filter((part) => part !== undefined).join('/');
