// A values file of aad-pod-identity, given as it is: the defaults of its chart 4.1.18, and files as people carry them (upstream/).
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { inputOf } from '../../cli/migrate/input.ts';
import { deployment, identity, mic, nmi } from '../../cli/migrate/testing/fixtures.ts';
import { programOf, settingsOf as settingsOfMigration } from '../../cli/migrate/upstream.ts';
import { valuesFor } from '../../cli/migrate/values.ts';
import { isRecord } from '../../common/records.ts';
import { settings as controllerSettings } from '../../controller/settings.ts';
import { chartValueOf } from '../../lib/chart-values.ts';
import { at, stringAt } from '../../lib/kube/objects.ts';
import { parseSettings } from '../../lib/settings.ts';
import { translateMicArguments } from '../../lib/upstream/mic-flags.ts';
import { settings as webhookSettings } from '../../webhook/settings.ts';
import type { KubeObject } from './render.ts';
import { chart, environmentOf, find, podOf, render, renderChart, template } from './render.ts';

const folder = path.join(import.meta.dirname, 'upstream');
const read = (name: string) => JSON.parse(readFileSync(path.join(folder, name), 'utf8')) as Record<string, unknown>;
const defaults = read('defaults.json');
const carried = read('carried.json');
const programs = ['aad-pod-identity-controller', 'aad-pod-identity-broker', 'aad-pod-identity-webhook'];
const [controller = '', broker = '', webhook = ''] = programs;

const sections = ['image', 'mic', 'nmi', 'rbac', 'adminsecret', 'mic.leaderElection', 'mic.customCloud'];

/** Paths of the values. Maps without names of the chart, such as labels, are one value. */
function pathsOf(values: Record<string, unknown>, prefix = ''): string[] {
  return Object.entries(values).flatMap(([key, value]) =>
    sections.includes(prefix + key) && isRecord(value) ? pathsOf(value, `${prefix}${key}.`) : [prefix + key],
  );
}

/** What the schema accepts for a value without an effect. */
function someValue(name: string): unknown {
  if (/^(azureIdentity(Binding)?|nmi\.pod\w+|mic\.affinity\.\w+|mic\.podDisruptionBudget|nmi\.updateStrategy)$/.test(name))
    return { any: 'thing' };
  if (name.endsWith('.resources')) return { limits: { cpu: '1' } };
  if (name === 'mic.topologySpreadConstraints') return [{ topologyKey: 'zone' }];
  if (name.endsWith('.loggingFormat')) return 'text';
  if (/(Duration|RetryInterval)$/.test(name)) return '30s';
  // Told where they are false, since what they name always happens.
  if (['nmi.metadataHeaderRequired', 'nmi.enableScaleFeatures'].includes(name)) return 'false';
  return /(installCRDs|forceNameSpaced|Kubenet|Header|Deletion|pspEnabled)$/.test(name) ? true : '7';
}

/** Takes back the sign-in with which the other tests render. */
const noSignIn = 'adminsecret.useMSI=';

/** Rows of the table of docs/migration.md: values of aad-pod-identity, and what they are here. */
const table = [
  ...readFileSync(path.resolve(chart, '../../docs/migration.md'), 'utf8').matchAll(/^\| (`[a-z]\w+(?:\.\w+)*`.*?) \| (.*) \|$/gm),
].map(([, names = '', here = '']) => ({ names: [...names.matchAll(/`([\w.]+)`/g)].map(([, name = '']) => name), here }));

describe("values of aad-pod-identity's chart", () => {
  let work: string;
  let notesChart: string;
  let files = 0;
  before(async () => {
    work = await mkdtemp(path.join(os.tmpdir(), 'values-'));
    // helm prints notes for a cluster only, so the copy has them in an object.
    notesChart = path.join(work, 'chart');
    await cp(chart, notesChart, { recursive: true });
    await writeFile(
      path.join(notesChart, 'templates/notes.yaml'),
      'kind: Notes\nmetadata: { name: notes }\ntext: {{ include (print .Template.BasePath "/NOTES.txt") . | toJson }}\n',
    );
  });
  after(() => rm(work, { recursive: true, force: true }));

  const fileOf = async (values: unknown): Promise<string[]> => {
    const file = path.join(work, `${++files}.json`);
    await writeFile(file, JSON.stringify(values));
    return ['--values', file];
  };
  const renderValues = async (values: unknown, ...more: string[]) => render(...(await fileOf(values)), ...more);
  const settingsOf = (objects: KubeObject[]) => {
    const { containers } = podOf(objects, controller).spec as { containers: { args?: string[] }[] };
    const { argv, env } = translateMicArguments(containers[0]?.args ?? [], environmentOf(objects, controller));
    return parseSettings(controllerSettings, argv, env);
  };
  /** Reasons of the notes by the value that has no effect. */
  const withoutEffect = async (values: unknown, ...more: string[]): Promise<Record<string, string>> => {
    const objects = await renderChart(notesChart, ...(await fileOf(values)), ...more);
    const text = stringAt(find(objects, 'Notes', 'notes'), 'text') ?? '';
    return Object.fromEntries([...text.matchAll(/^ {2}(\w+(?:\.\w+)*): (.*)\.$/gm)].map(([, name = '', reason = '']) => [name, reason]));
  };

  const rowOf = (name: string) => table.find(({ names }) => names.includes(name));

  it('change nothing but sign-in and right to Secrets, where they are the defaults', async () => {
    const own = await render('--set', `${noSignIn},controller.cloudConfig=/etc/kubernetes/azure.json,rbac.allowAccessToSecrets=true`);
    assert.deepEqual(await renderValues(defaults, '--set', noSignIn), own);
  });

  it('are taken over by every template that uses one with their meaning', () => {
    const templates = path.join(chart, 'templates');
    const uses = /(?<!root)\.Values\.(rbac|controller|broker|webhook|forceNamespaced|installMICException|sidecar|image)\b/;
    const files = readdirSync(templates, { recursive: true, encoding: 'utf8' }).filter((file) => /\.(yaml|txt)$/.test(file));
    const late = files.filter((file) => {
      const text = readFileSync(path.join(templates, file), 'utf8');
      return uses.test(text) && !text.slice(0, text.search(uses)).includes('include "aad.takeUpstream" .');
    });
    assert.deepEqual(late, []);
    assert.ok(files.length > 20);
  });

  it('are each in the table of docs/migration.md', () => {
    const known = [...pathsOf(defaults), ...Object.values(carried).flatMap((values) => pathsOf(values as Record<string, unknown>))];
    for (const name of new Set(known.filter((name) => name !== 'adminsecret'))) assert.ok(rowOf(name), name);
  });

  it('have no effect where the table says so, and the notes list those that are given', async () => {
    const idle = table.filter(({ here }) => here.startsWith('no effect')).flatMap(({ names }) => names);
    const listed = await withoutEffect({}, ...idle.flatMap((name) => ['--set-json', `${name}=${JSON.stringify(someValue(name))}`]));
    assert.deepEqual(Object.keys(listed).sort(), idle.sort());
    assert.deepEqual(await withoutEffect({}), {});
    const ofDefaults = Object.keys(await withoutEffect(defaults, '--set', noSignIn));
    assert.ok(ofDefaults.includes('mic.resources'));
    assert.ok(!ofDefaults.includes('nmi.metadataHeaderRequired') && !ofDefaults.includes('mic.probePort'));
  });

  it('never name an image that runs here', async () => {
    const named = { repository: 'theirs.test/oss', mic: 'theirs-mic', nmi: 'theirs-nmi', tag: 'theirs-tag' };
    const objects = await renderValues({
      image: { repository: named.repository, imagePullPolicy: 'Always' },
      mic: { image: named.mic, tag: named.tag },
      nmi: { image: named.nmi, tag: named.tag },
      nodeEndpoint: { enabled: true },
    });
    assert.doesNotMatch(JSON.stringify(objects), /theirs/);
    assert.equal(environmentOf(objects, webhook).SIDECAR_IMAGE_PULL_POLICY, 'Always');
    assert.match(JSON.stringify(podOf(objects, controller).spec), /"imagePullPolicy":"Always"/);
  });

  for (const [name, values] of Object.entries(carried))
    it(`render as people carry them: ${name}`, async () => {
      const file = await fileOf(values);
      if (at(values, 'adminsecret') === undefined) {
        const { stderr } = await template(...file, '--set', noSignIn);
        assert.match(stderr, /no sign-in to Azure/);
      }
      const signIn = at(values, 'adminsecret') === undefined ? 'adminsecret.useMSI=true' : 'controller.cloudConfig=';
      await render(...file, '--set', signIn);
    });

  it('place all three programs where MIC ran', async () => {
    const objects = await renderValues(carried['a system node pool']);
    for (const program of programs) {
      const { spec } = podOf(objects, program);
      assert.deepEqual(spec.nodeSelector, { 'kubernetes.io/os': 'linux', 'kubernetes.azure.com/mode': 'system' }, program);
      assert.deepEqual(spec.tolerations, [{ key: 'CriticalAddonsOnly', operator: 'Exists', effect: 'NoSchedule' }], program);
    }
    const nodeAffinity = { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [{ matchExpressions: [] }] } };
    const affine = await renderValues({ mic: { affinity: { nodeAffinity, podAntiAffinity: { ofMic: true } }, replicas: '3' } });
    for (const program of programs) assert.deepEqual(podOf(affine, program).spec.affinity, { nodeAffinity }, program);
    assert.deepEqual(
      programs.map((program) => at(find(affine, 'Deployment', program), 'spec', 'replicas')),
      [3, 2, 2],
    );
  });

  it('set the settings of the controller that its MIC had', async () => {
    const objects = await renderValues(carried['an admin secret with a managed identity']);
    const settings = settingsOf(objects);
    assert.deepEqual(
      [settings.logLevel, settings.clientQps, settings.createDeleteBatch, settings.identityAssignmentReconcileInterval],
      ['debug', 20, 50, 300],
    );
    assert.deepEqual([settings.leaseDuration, settings.leaseRenew, settings.leaseRetry], [30, 15, 7.5]);
    assert.deepEqual(settings.immutableUserMsis, ['22222222-0000-4000-8000-000000000001', '33333333-0000-4000-8000-000000000001']);
    assert.deepEqual([settings.useMsi, settings.userAssignedMsiClientId], [true, '22222222-0000-4000-8000-000000000001']);
    assert.equal(parseSettings(webhookSettings, [], environmentOf(objects, webhook)).blockInstanceMetadata, true);
    find(objects, 'ClusterRole', 'aad-pod-identity-view');
  });

  it('are what migrate prints for the flags of MIC and NMI', async () => {
    const args = [
      '--cloudconfig=/etc/kubernetes/azure.json',
      '--immutable-user-msis=22222222-0000-4000-8000-000000000001,33333333-0000-4000-8000-000000000001',
      '--identity-assignment-reconcile-interval=5m',
      '--createDeleteBatch=50',
      '--clientQps=20',
      '--leader-election-duration=30s',
      '--forceNamespaced',
      '--custom-user-agent=fleet 7',
      '--log-format=text',
      '-v=6',
    ];
    const tolerations = [{ key: 'CriticalAddonsOnly', operator: 'Exists' }];
    const objects = [
      mic({ args, spec: { tolerations, priorityClassName: 'high' }, labels: { fleet: 'a' }, replicas: 3 }),
      nmi({ args: ['--block-instance-metadata', '--operation-mode=managed'] }),
      deployment('vault', 'web', { volumes: [{ name: 'v', csi: { driver: 'secrets-store.csi.k8s.io' } }] }),
      identity('partner', { type: 1 }),
    ];
    const rendered = await renderValues(valuesFor(inputOf(objects, 'default')), '--set', noSignIn);
    const { argv, env } = translateMicArguments(args, {});
    const wanted = parseSettings(controllerSettings, argv, env);
    const { values } = settingsOfMigration(objects.flatMap((object) => programOf(object) ?? []));
    for (const setting of Object.keys(controllerSettings) as (keyof typeof controllerSettings)[]) {
      const value = chartValueOf('controller', setting);
      if (value === undefined || !values.has(value) || setting === 'cloudConfig' || setting === 'operationMode') continue;
      const exact = wanted[setting];
      assert.deepEqual(settingsOf(rendered)[setting], typeof exact === 'number' ? Math.floor(exact) : exact, setting);
    }
    assert.equal(settingsOf(rendered).cloudConfig, '/etc/aad-pod-identity/azure.json');
    assert.equal(settingsOf(rendered).operationMode, 'managed');
    assert.equal(parseSettings(webhookSettings, [], environmentOf(rendered, webhook)).blockInstanceMetadata, true);
    for (const program of programs) {
      assert.deepEqual(podOf(rendered, program).spec.tolerations, tolerations, program);
      assert.equal(podOf(rendered, program).spec.priorityClassName, 'high', program);
    }
    assert.equal(podOf(rendered, controller).labels.fleet, 'a');
    assert.equal(at(find(rendered, 'Deployment', controller), 'spec', 'replicas'), 3);
    find(rendered, 'DaemonSet', 'aad-pod-identity-node');
    find(rendered, 'Role', broker);
  });

  it('sign in with azure.json where the file names it and no admin secret', async () => {
    const cloudConfig = '/etc/kubernetes/azure.json';
    const mic = { cloudConfig, customCloud: { enabled: 'true' } };
    const node = settingsOf(await renderValues({ mic }, '--set', noSignIn));
    assert.deepEqual(
      [node.cloudConfig, node.azureEnvironmentFilepath],
      ['/etc/aad-pod-identity/azure.json', '/etc/aad-pod-identity/environment.json'],
    );
    assert.equal(settingsOf(await renderValues({ mic: { cloudConfig } })).cloudConfig, '');
  });

  it('may be left empty', async () => {
    const empty = (section: unknown) => Object.fromEntries(Object.keys(section ?? {}).map((key) => [key, null]));
    const mic = { ...empty(defaults.mic), leaderElection: { duration: null }, customCloud: { enabled: null } };
    const values = { mic, nmi: empty(defaults.nmi), azureIdentities: null };
    assert.deepEqual(await renderValues(values), await render());
    assert.deepEqual(await withoutEffect(values), {});
    await renderValues({ adminsecret: { tenantID: null, clientSecret: null, useMSI: 'true' } });
  });

  it('take booleans as text, and "false" as false', async () => {
    const objects = await renderValues({
      forceNamespaced: 'true',
      installMICException: 'false',
      rbac: { enabled: 'false', allowAccessToSecrets: 'false', createUserFacingClusterRoles: 'false' },
    });
    assert.equal(settingsOf(objects).forceNamespaced, true);
    const kinds = new Set(objects.map(({ kind }) => kind));
    assert.deepEqual(
      ['AzurePodIdentityException', 'ClusterRole'].filter((kind) => kinds.has(kind)),
      [],
    );
    const granted = await renderValues({ rbac: { enabled: 'true', allowAccessToSecrets: 'true' } });
    assert.match(JSON.stringify(find(granted, 'ClusterRole', broker).rules), /"secrets"/);
  });

  it('name the user-facing ClusterRoles as before', async () => {
    const objects = await renderValues({ fullnameOverride: 'pod-identity', rbac: { createUserFacingClusterRoles: true } });
    const roles = ['view', 'edit', 'exceptions'].map((name) => find(objects, 'ClusterRole', `pod-identity-${name}`));
    assert.equal(stringAt(roles[0], 'metadata', 'labels', 'rbac.authorization.k8s.io/aggregate-to-view'), 'true');
  });

  it('leave ClusterRoles to the release that has them, for the controller to watch', async () => {
    const expected = async (...flags: string[]) => {
      const objects = await render('--set', flags.join(','));
      const { expectedExceptions, expectedClusterRoles } = settingsOf(objects);
      const names = objects.filter(({ kind }) => kind === 'ClusterRole').map((role) => stringAt(role, 'metadata', 'name') ?? '');
      const mayRead = JSON.stringify(find(objects, 'ClusterRole', controller).rules).includes('"clusterroles"');
      return { expectedExceptions, expectedClusterRoles, mayRead, made: names.filter((name) => /-(view|edit|exceptions)$/.test(name)) };
    };
    const exceptions = ['kube-system/aks-addon-exception'];
    assert.deepEqual(await expected('rbac.userFacingClusterRoles=existing'), {
      expectedExceptions: exceptions,
      expectedClusterRoles: ['aad-pod-identity-view', 'aad-pod-identity-edit'],
      mayRead: true,
      made: [],
    });
    assert.deepEqual(await expected('rbac.userFacingClusterRoles=create', 'installMICException=false'), {
      expectedExceptions: [],
      expectedClusterRoles: [],
      mayRead: false,
      made: ['view', 'edit', 'exceptions'].map((name) => `aad-pod-identity-${name}`),
    });
  });

  const typos: [set: string, says: RegExp][] = [
    ['mic.replica=3', /at '\/mic': additional properties 'replica' not allowed/],
    ['nmi.prometheusport=9090', /at '\/nmi': additional properties 'prometheusport' not allowed/],
    ['mic.leaderElection.lease=1', /at '\/mic\/leaderElection': additional properties 'lease' not allowed/],
    ['image.imagePullpolicy=Always', /at '\/image': additional properties 'imagePullpolicy' not allowed/],
    ['rbac.pspEnable=true', /at '\/rbac': additional properties 'pspEnable' not allowed/],
    ['forceNamespced=true', /additional properties 'forceNamespced' not allowed/],
    ['mic.syncRetryDuration=1 hour', /at '\/mic\/syncRetryDuration': .*does not match pattern/],
    ['forceNamespaced=yes', /at '\/forceNamespaced': value must be one of/],
  ];
  for (const [set, says] of typos)
    it(`refuse ${set} with the place of the mistake`, async () => {
      const { code, stderr } = await template('--set', set);
      assert.notEqual(code, 0);
      assert.match(stderr, says);
    });
});
