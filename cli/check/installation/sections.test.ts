import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import type { InstallationStatus } from '../../../api/installation-status.ts';
import { plurals } from '../../../api/kinds.ts';
import { annotations, apiGroup } from '../../../api/names.ts';
import type { SidecarStatus } from '../../../api/sidecar-status.ts';
import { version } from '../../../api/version.ts';
import { assignmentOf } from '../../../lib/identities/assignment.ts';
import { generateKey, issueAuthority } from '../../../lib/tls/issue.ts';
import type { Installation, Release } from '../../cluster/installation.ts';
import type { NodeViews } from '../../cluster/node-views.ts';
import { onePerNode } from '../../cluster/node-views.ts';
import type { Read } from '../../cluster/reader.ts';
import type { TrialAdmission } from '../../cluster/trial-admission.ts';
import { isProblem } from '../../finding.ts';
import { checkInstallation } from './sections.ts';

const now = new Date('2026-06-01T00:00:00Z');
const day = 86_400_000;
const inDays = (days: number) => new Date(now.getTime() + days * day);
const absent = { why: 'absent' } as const;
const denied = { why: 'denied', right: 'list pods in all namespaces' } as const;

const authority = async (from: Date, serial: string) =>
  issueAuthority({ now: from, key: await generateKey(), serial: Buffer.from(serial.padEnd(16, '0')) }).certificate;
let ca: string;
let otherCa: string;
let futureCa: string;
let endedCa: string;
let endingCa: string;
before(async () => {
  [ca, otherCa, futureCa, endedCa, endingCa] = await Promise.all([
    authority(now, '1'),
    authority(now, '2'),
    authority(inDays(30), '3'),
    authority(inDays(-3651), '4'),
    authority(inDays(-3647), '5'),
  ]);
});

const configuration = (bundle: string, inject: object = {}) => {
  const entryOf = (name: string) => ({
    name: `${name}.aadpodidentity.k8s.io`,
    failurePolicy: 'Fail',
    clientConfig: { caBundle: Buffer.from(bundle).toString('base64'), service: { namespace: 'system' } },
  });
  return { webhooks: [{ ...entryOf('inject'), ...inject }, entryOf('guard')] };
};
const slices = [{ endpoints: [{ addresses: ['10.0.0.1'], conditions: { ready: true } }] }];
const leaderStatus: InstallationStatus = {
  version,
  leader: 'controller-0',
  writtenAt: now.toISOString(),
  mode: 'standard',
  settings: { forceNamespaced: false, bindingNamespaces: [], assignment: 'attach', assignUninjected: false },
  signIn: { state: 'working', at: now.toISOString() },
  resourceManager: { state: 'working', at: now.toISOString() },
  scopes: [],
  scopesLeftOut: 0,
};
const crdOf = (plural: string) => ({
  metadata: {
    name: `${plural}.${apiGroup}`,
    creationTimestamp: inDays(-3).toISOString(),
    labels: { 'app.kubernetes.io/version': version },
  },
});
const policy = (changes: object = {}, labels = { 'app.kubernetes.io/version': version }) => ({
  metadata: { name: 'marker', labels },
  ...changes,
});
const policyBinding = { metadata: { name: 'marker' }, spec: { policyName: 'marker' } };
const labelled = (name: string, component: string) => ({ metadata: { name, namespace: 'kube-system', labels: { component } } });

const healthyRelease = (): Release => ({
  namespace: 'system',
  lease: { value: { spec: { holderIdentity: 'controller-0_x', renewTime: now.toISOString() } } },
  status: { value: leaderStatus },
  caBundle: { value: ca },
  webhookEndpoints: { value: slices },
  brokerEndpoints: { value: slices },
  brokerService: { value: { spec: { clusterIP: '10.0.0.9' } } },
});
const healthy = (): Installation => ({
  version: { value: { gitVersion: 'v1.33.1' } },
  crds: { value: Object.values(plurals).map(crdOf) },
  policies: { value: [policy()] },
  policyBindings: { value: [policyBinding] },
  assignments: { value: [] },
  injectedPods: { value: [] },
  webhookConfiguration: { value: configuration(ca) },
  release: healthyRelease(),
  upstreamPods: { value: [] },
});
const proxy: SidecarStatus = {
  version,
  broker: { address: '10.0.0.9:9443', answeredSecondsAgo: 1 },
  excepted: false,
  identities: [],
  cachedTokens: 0,
};
const viewOf = (node: string, view: NodeViews['asked'][number]['view'] = { status: proxy }) => ({
  node,
  namespace: 'team',
  pod: `on-${node}`,
  view,
});

interface Changes {
  installation?: Partial<Installation>;
  release?: Partial<Release>;
  status?: Partial<InstallationStatus>;
  trial?: TrialAdmission;
  nodeViews?: NodeViews;
}

function findingsFor({ installation = {}, release = {}, status, trial = { outcome: 'injected', ms: 12 }, nodeViews }: Changes) {
  const changed = status === undefined ? {} : { status: { value: { ...leaderStatus, ...status } } };
  const sections = checkInstallation({
    installation: { ...healthy(), release: { ...healthyRelease(), ...changed, ...release }, ...installation },
    trial,
    nodeViews: nodeViews ?? { asked: [viewOf('a')], leftOut: 0 },
    now,
  });
  return sections.flatMap(({ findings }) => findings);
}

/** The entries call the webhook there. */
const inDefault = (): Changes => {
  const { webhooks } = configuration(ca);
  const moved = webhooks.map((entry) => ({ ...entry, clientConfig: { ...entry.clientConfig, service: { namespace: 'default' } } }));
  return { release: { namespace: 'default' }, installation: { webhookConfiguration: { value: { webhooks: moved } } } };
};

const problemsFor = (changes: Changes) =>
  findingsFor(changes)
    .filter(isProblem)
    .map(({ status, code }) => `${status} ${code}`);

const assigned = (reason: string, changes: Record<string, unknown> = {}) => {
  const assignment = assignmentOf({
    metadata: { name: `web-${reason}`, namespace: 'default', annotations: { [annotations.reason]: reason, ...changes } },
    spec: { azureIdentityRef: { metadata: { name: 'demo', namespace: 'team' }, spec: { resourceID: '/Subscriptions/S/demo' } } },
    status: { status: reason === '' ? 'Assigned' : 'Created' },
  });
  return { value: assignment === undefined ? [] : [assignment] };
};

describe('checkInstallation', () => {
  it('finds nothing wrong in a healthy installation', () => {
    const findings = findingsFor({});
    assert.deepEqual(
      findings.filter(({ status }) => status !== 'passed'),
      [],
    );
    const text = findings.map(({ title }) => title).join('\n');
    for (const part of [
      'answers: Kubernetes v1.33.1',
      'serves validating admission policies',
      'has the four kinds of this release, the oldest made 3d ago',
      `version ${version}, that of this plugin`,
      'registered: 2 entries',
      'injects a labelled pod, in 12 ms as a dry run',
      'caBundle of the webhook is valid until 2036-05-29',
      'controller-0 leads; it renewed the Lease 0 s ago',
      'reached from one node, as one token proxy on each says',
      'admission policies: 1, each with its binding',
      'no MIC of aad-pod-identity runs',
    ])
      assert.ok(text.includes(part), `${part} in:\n${text}`);
  });

  const refusedCrd = {
    ...crdOf(plurals.AzureIdentity),
    status: { conditions: [{ type: 'Established', status: 'False', message: 'not yet' }] },
  };
  const cases: [string, string[], () => Changes][] = [
    ['without policies in the API', ['warning FeatureMissing'], () => ({ installation: { policies: absent, policyBindings: absent } })],
    ['where Kubernetes is old', ['broken KubernetesTooOld'], () => ({ installation: { version: { value: { gitVersion: 'v1.29.0' } } } })],
    ['without CRDs', ['broken CrdsMissing'], () => ({ installation: { crds: { value: [] }, assignments: absent } })],
    [
      'where a CRD is refused',
      ['broken CrdsMissing'],
      () => ({ installation: { crds: { value: [refusedCrd, ...Object.values(plurals).slice(1).map(crdOf)] } } }),
    ],
    ['without entries', ['broken WebhookNotRegistered'], () => ({ installation: { webhookConfiguration: { value: { webhooks: [] } } } })],
    [
      'with a foreign caBundle',
      ['broken CaBundleWrong'],
      () => ({ installation: { webhookConfiguration: { value: configuration(otherCa) } } }),
    ],
    ['with an empty caBundle', ['broken CaBundleWrong'], () => ({ installation: { webhookConfiguration: { value: configuration('') } } })],
    [
      'where failurePolicy was changed',
      ['warning WebhookChanged'],
      () => ({ installation: { webhookConfiguration: { value: configuration(ca, { failurePolicy: 'Ignore' }) } } }),
    ],
    [
      'without the entry for labelled pods',
      ['broken WebhookNotRegistered'],
      () => ({ installation: { webhookConfiguration: { value: configuration(ca, { name: 'other' }) } } }),
    ],
    [
      'where the CA is not valid yet',
      ['broken CertificateNotYetValid', 'broken CertificateNotYetValid'],
      () => ({ installation: { webhookConfiguration: { value: configuration(futureCa) } }, release: { caBundle: { value: futureCa } } }),
    ],
    [
      'where every CA has ended',
      ['broken CertificateExpired'],
      () => ({ installation: { webhookConfiguration: { value: configuration(endedCa + ca) } }, release: { caBundle: { value: endedCa } } }),
    ],
    [
      'where the last CA ends soon',
      ['warning CertificateEnds'],
      () => ({
        release: { caBundle: { value: endingCa } },
        installation: { webhookConfiguration: { value: configuration(ca + endingCa) } },
      }),
    ],
    ['without the bundle of the broker', ['broken CaBundleMissing'], () => ({ release: { caBundle: absent } })],
    ['where nobody leads', ['broken NoLeader'], () => ({ release: { lease: absent } })],
    ['where the status is old', ['warning StatusOld'], () => ({ status: { writtenAt: inDays(-1).toISOString() } })],
    [
      'where sign-in fails',
      ['broken SignInFailed'],
      () => ({ status: { signIn: { state: 'failing', at: now.toISOString(), message: 'AADSTS7000215' } } }),
    ],
    [
      'where the plugin is of another version',
      ['warning PluginVersion'],
      () => ({ status: { version: '9.0.0' }, installation: { policies: { value: [] } } }),
    ],
    ['where a role is missing', ['broken MissingRole'], () => ({ installation: { assignments: assigned('MissingRole') } })],
    [
      'where an identity does not exist',
      ['warning IdentityNotFound'],
      () => ({ installation: { assignments: assigned('IdentityNotFound') } }),
    ],
    ['while Azure is being changed', [], () => ({ installation: { assignments: assigned('Attaching') } })],
    [
      'federated from namespace default',
      ['warning FederationFromDefault'],
      () => ({ ...inDefault(), status: { settings: { ...leaderStatus.settings, assignment: 'federate' } } }),
    ],
    ['where another release is called', ['warning WebhookChanged'], () => ({ release: { namespace: 'other' } })],
    ['attached from namespace default', [], inDefault],
    ['without broker', ['broken BrokerDown'], () => ({ release: { brokerEndpoints: absent } })],
    [
      'where a node does not reach the broker',
      ['broken BrokerBlocked'],
      () => ({
        nodeViews: {
          asked: [viewOf('a'), viewOf('b', { status: { ...proxy, broker: { address: '10.0.0.9:9443', error: 'no answer in time' } } })],
          leftOut: 0,
        },
      }),
    ],
    [
      'without the right to exec',
      ['unknown RightMissing'],
      () => ({ nodeViews: { asked: [viewOf('a', { failure: 'Unexpected server response: 403', isDenied: true })], leftOut: 0 } }),
    ],
    ['where a policy has no binding', ['broken PolicyNotBound'], () => ({ installation: { policyBindings: { value: [] } } })],
    [
      'where a binding lacks its parameter',
      ['broken PolicyNotBound'],
      () => ({ installation: { policies: { value: [policy({ spec: { paramKind: { kind: 'ConfigMap' } } })] } } }),
    ],
    [
      'where the API server warns of a policy',
      ['warning PolicyInvalid'],
      () => ({
        installation: {
          policies: { value: [policy({ status: { typeChecking: { expressionWarnings: [{ fieldRef: 'spec.x', warning: 'bad' }] } } })] },
        },
      }),
    ],
    [
      'where a policy is of an older release',
      ['warning PolicyOld'],
      () => ({ installation: { policies: { value: [policy({}, { 'app.kubernetes.io/version': '0.0.1' })] } } }),
    ],
    ['beside an NMI', ['warning NodeAgentRuns'], () => ({ installation: { upstreamPods: { value: [labelled('nmi-x', 'nmi')] } } })],
    ['beside a MIC', ['warning UpstreamControllerRuns'], () => ({ installation: { upstreamPods: { value: [labelled('mic-x', 'mic')] } } })],
    [
      'where nothing may be read of pods',
      ['unknown RightMissing', 'unknown RightMissing'],
      () => ({ installation: { injectedPods: denied, upstreamPods: denied } }),
    ],
  ];
  for (const [name, expected, changes] of cases)
    it(`says ${expected.join(', ') || 'nothing'} ${name}`, () => assert.deepEqual(problemsFor(changes()), expected));

  it('shows only that the API server does not answer', () => {
    const failed: Read<never> = { why: 'failed', message: 'connect ECONNREFUSED' };
    assert.deepEqual(problemsFor({ installation: { version: failed, crds: failed, injectedPods: failed } }), [
      'broken ApiServerUnreachable',
    ]);
  });

  it('says that no node was asked where no injected pod runs', () => {
    const findings = findingsFor({ nodeViews: { asked: [], leftOut: 0 } });
    assert.deepEqual(
      findings.filter(({ status }) => status === 'skipped').map(({ title }) => title),
      ['from nodes: no injected pod runs whose token proxy could be asked'],
    );
  });

  it('names the AzureIdentity that Azure refused, and how to edit it', () => {
    const quarantined = [{ identity: '/subscriptions/s/demo', until: inDays(1).toISOString() }];
    const [found] = findingsFor({
      installation: { assignments: assigned('Attaching') },
      status: { scopes: [{ id: '/x/virtualMachineScaleSets/pool', paused: false, quarantined }] },
    }).filter(isProblem);
    assert.equal(found?.code, 'Quarantined');
    assert.match(found.message, /^\/subscriptions\/s\/demo \(AzureIdentity team\/demo\) is kept out until /);
    assert.equal(found.command, 'kubectl edit azureidentity demo -n team');
  });
});

describe('onePerNode', () => {
  it('takes one pod of each node whose proxy runs', () => {
    const pod = (name: string, nodeName: string, state: string) => ({
      metadata: { name, namespace: 'team' },
      spec: { nodeName },
      status: { initContainerStatuses: [{ name: 'aad-pod-identity-proxy', state: { [state]: {} } }] },
    });
    const pods = [pod('one', 'b', 'running'), pod('two', 'b', 'running'), pod('three', 'a', 'running'), pod('four', 'c', 'waiting')];
    assert.deepEqual(
      onePerNode(pods).map(({ node }) => node),
      ['a', 'b'],
    );
  });
});
