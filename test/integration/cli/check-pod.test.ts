// Breaks one link between a pod and its token, and expects that the plugin names it. The API server, the controller and its calls to the emulator are
// real; no kubelet runs, so the pods' containers only say that they run.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Code } from '../../../cli/codes.ts';
import { at, stringAt } from '../../../lib/kube/objects.ts';
import { azurePodIdentityExceptions, pods, resourcePath } from '../../../lib/kube/resources.ts';
import { eventually } from '../../harness/wait.ts';
import { clientIds, group, idOf } from '../azure/fixtures.ts';
import type { Harness } from '../controller/harness/harness.ts';
import { startHarness } from '../controller/harness/harness.ts';
import { brokenOf, reportOf, runPlugin } from './plugin.ts';
import type { RunningPodOptions } from './running-pod.ts';
import { createReadyBroker, createRunningPod } from './running-pod.ts';

let harness: Harness;
const kubeconfig = () => harness.plane.kubeconfig;
const scopeOf = (name: string) => `${group}/Microsoft.Compute/virtualMachineScaleSets/${name}`;

interface Fault {
  name: string;
  code: Code;
  message: RegExp;
  /** Makes the pod, which lies in `namespace`. Resolves with its name where that is not the fault's. */
  make(name: string): Promise<unknown>;
  namespace?: string;
}

/** A pod of its own scale set, with a binding of its own to an identity. */
async function bound(name: string, identity = 'writer', spec: Record<string, unknown> = {}): Promise<void> {
  if (identity !== 'writer') await harness.createIdentity(identity, spec);
  await harness.createBinding(name, identity, name);
  await started(name);
}

const started = (name: string, options?: RunningPodOptions) => createRunningPod(harness, name, options);

/** As {@link bound}, until the controller has written the reason. */
async function boundUntil(reason: string, name: string, identity = 'writer', spec: Record<string, unknown> = {}): Promise<void> {
  await bound(name, identity, spec);
  await harness.untilReason(`${name}-default-${identity}`, reason);
}

const faults: Fault[] = [
  {
    name: 'no-label',
    code: 'NotLabelled',
    message: /does not have the label/,
    make: (name) => harness.client.call('POST', resourcePath(pods, { namespace: 'default' }), { body: plainPod(name) }),
  },
  {
    name: 'owner-label',
    code: 'LabelOnOwnerOnly',
    message: /ReplicaSet owner-label has the label/,
    async make(name) {
      await harness.client.call('POST', '/apis/apps/v1/namespaces/default/replicasets', { body: labelledOwner(name) });
      return podOfOwner(name);
    },
  },
  {
    name: 'system-pod',
    namespace: 'kube-system',
    code: 'NamespaceExcluded',
    message: /does not call the webhook for namespace kube-system/,
    make: (name) => started(name, { namespace: 'kube-system', injected: false }),
  },
  {
    name: 'excepted',
    code: 'Excepted',
    message: /AzurePodIdentityException default\/too-wide/,
    async make(name) {
      await createException('too-wide', name);
      await started(name, { injected: false });
    },
  },
  { name: 'unbound', code: 'BindingMissing', message: /no AzureIdentityBinding has the selector unbound$/, make: (name) => started(name) },
  {
    name: 'near-miss',
    code: 'BindingMissing',
    message: /default\/near has near-Miss$/,
    async make(name) {
      await harness.createBinding('near', 'writer', 'near-Miss');
      await started(name);
    },
  },
  {
    name: 'misspelt',
    code: 'IdentityMissing',
    message: /names AzureIdentity wirter, which namespace default does not have/,
    async make(name) {
      await harness.createBinding(name, 'wirter', name);
      await started(name);
    },
  },
  {
    name: 'unknown-identity',
    code: 'IdentityNotFound',
    message: /nobody/,
    make: (name) => boundUntil('IdentityNotFound', name, 'nobody'),
  },
  {
    name: 'wrong-client',
    code: 'ClientIDMismatch',
    message: new RegExp(clientIds.reader),
    make: (name) => boundUntil('ClientIDMismatch', name, 'other', { resourceID: idOf('reader'), clientID: clientIds.third }),
  },
  {
    name: 'identity-role',
    code: 'MissingRole',
    message: /Managed Identity Operator/,
    async make(name) {
      harness.emulator.addFault({ fault: 'role-missing', identity: idOf('third'), resource: scopeOf(name) });
      await boundUntil('MissingRole', name, 'unassignable', { resourceID: idOf('third') });
    },
  },
  {
    name: 'scope-role',
    code: 'MissingRole',
    message: /Virtual Machine Contributor/,
    async make(name) {
      harness.emulator.addFault({ fault: 'forbidden', method: 'PATCH', resource: scopeOf(name) });
      await boundUntil('MissingRole', name);
    },
  },
  {
    name: 'throttled-write',
    code: 'Throttled',
    message: /the next try is at/,
    async make(name) {
      harness.emulator.addFault({ fault: 'throttled', retryAfter: 600, resource: scopeOf(name), method: 'PATCH' });
      await boundUntil('Throttled', name);
    },
  },
  {
    name: 'throttled-poll',
    code: 'Throttled',
    message: /the next try is at/,
    async make(name) {
      harness.emulator.addFault({ fault: 'operation', ms: null, resource: scopeOf(name) });
      harness.emulator.addFault({ fault: 'throttled', retryAfter: 600, resource: scopeOf(name), path: '/operations/', method: 'GET' });
      await boundUntil('Throttled', name);
    },
  },
  {
    name: 'refused-policy',
    code: 'PolicyDenied',
    message: /Azure Policy/,
    async make(name) {
      harness.emulator.addFault({ fault: 'policy-denied', resource: scopeOf(name) });
      await boundUntil('PolicyDenied', name);
    },
  },
  {
    name: 'no-provider',
    code: 'WaitingForNode',
    message: /providerID/,
    make: (name) => boundUntil('WaitingForNode', name),
  },
  {
    name: 'foreign-provider',
    code: 'UnsupportedNode',
    message: /aws/,
    make: (name) => boundUntil('UnsupportedNode', name),
  },
  {
    name: 'not-allowed',
    code: 'IdentityNotAllowed',
    message: /identityPolicy/,
    async make(name) {
      await harness.createNamespace('team');
      await harness.createIdentity('forbidden', { resourceID: idOf('reader') }, { namespace: 'team' });
      await harness.createBinding(name, 'forbidden', name, 'team');
      await started(name);
      await harness.untilReason(`${name}-default-forbidden`, 'IdentityNotAllowed');
    },
  },
  {
    name: 'beside-nmi',
    code: 'NodeAgentRuns',
    message: /NMI kube-system\/nmi-x of aad-pod-identity runs there/,
    async make(name) {
      const metadata = { name: 'nmi-x', labels: { 'app.kubernetes.io/component': 'nmi' } };
      const body = {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata,
        spec: { nodeName: `node-${name}`, containers: [{ name: 'nmi', image: 'nmi' }] },
      };
      await harness.client.call('POST', resourcePath(pods, { namespace: 'kube-system' }), { body });
      await bound(name);
      await harness.untilAssigned(`${name}-default-writer`);
    },
  },
];

/** It matches pods with this selector. */
const createException = (name: string, selector: string) =>
  harness.client.call('POST', resourcePath(azurePodIdentityExceptions, { namespace: 'default' }), {
    body: {
      apiVersion: 'aadpodidentity.k8s.io/v1',
      kind: 'AzurePodIdentityException',
      metadata: { name },
      spec: { podLabels: { aadpodidbinding: selector } },
    },
  });

/** The ReplicaSet controller makes it. */
async function podOfOwner(app: string): Promise<string> {
  let name: string | undefined;
  const look = async (): Promise<boolean> => {
    const items = at(
      await harness.client.call('GET', resourcePath(pods, { namespace: 'default' }), { query: { labelSelector: `app=${app}` } }),
      'items',
    );
    name = Array.isArray(items) ? stringAt(items[0], 'metadata', 'name') : undefined;
    return name !== undefined;
  };
  await eventually(look, `the ReplicaSet ${app} has a pod`);
  return name ?? '';
}

const plainPod = (name: string) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name },
  spec: { nodeName: `node-${name}`, containers: [{ name: 'app', image: 'app' }] },
});

const labelledOwner = (name: string) => ({
  apiVersion: 'apps/v1',
  kind: 'ReplicaSet',
  metadata: { name, labels: { aadpodidbinding: name } },
  spec: {
    replicas: 1,
    selector: { matchLabels: { app: name } },
    template: { metadata: { labels: { app: name } }, spec: { containers: [{ name: 'app', image: 'app' }] } },
  },
});

const providerOf = (name: string): string => {
  if (name === 'no-provider') return '';
  return name === 'foreign-provider' ? 'aws:///eu-west-1a/i-0' : `azure://${scopeOf(name)}/virtualMachines/0`;
};

before(async () => {
  const names = [...faults.map(({ name }) => name), 'healthy', 'attaching', 'excepted-later'];
  harness = await startHarness({
    azure: { scaleSets: names.map((name) => ({ name, instances: 1 })), virtualMachines: [], imds: { vm: 'healthy/0' } },
  });
  for (const name of names) await harness.createNode(`node-${name}`, providerOf(name));
  await harness.createIdentity('writer');
  const policy = JSON.stringify([{ namespaces: ['default'] }]);
  await createReadyBroker(harness);
  await harness.startController([`--identity-policy=${policy}`]);
});
after(() => harness?.stop());

describe('check pod', () => {
  for (const { name, namespace = 'default', code, message, make } of faults)
    it(`names ${code} for a pod ${name}`, async () => {
      const pod = await make(name);
      const podName = typeof pod === 'string' ? pod : name;
      const report = await reportOf(kubeconfig(), 'check', 'pod', podName, '-n', namespace, '--release-namespace=default');
      assert.equal(report.firstBroken, code, JSON.stringify(report));
      assert.match(brokenOf(report).message, message);
    });

  it('finds nothing broken on a healthy pod, and names what it may not read', async () => {
    await bound('healthy');
    await harness.untilAssigned('healthy-default-writer');
    const { code, stdout } = await runPlugin(kubeconfig(), ['check', 'pod', 'healthy', '--release-namespace=default']);
    assert.equal(code, 0, stdout);
    assert.match(stdout, /\[ok\] +AzureIdentity default\/writer is assigned, on virtualMachineScaleSets healthy/);
    // No kubelet runs.
    assert.match(stdout, /\[unknown\] what the token proxy knows: .*\[SidecarUnreachable\]/);
  });

  it('tells an assignment that is under way as waiting, and ends with code 0', async () => {
    harness.emulator.addFault({ fault: 'operation', ms: null, resource: scopeOf('attaching') });
    await bound('attaching');
    await harness.until(() => harness.status('attaching-default-writer') === 'Created', 'an object');
    const { code, stdout } = await runPlugin(kubeconfig(), ['check', 'pod', 'attaching', '--release-namespace=default']);
    assert.equal(code, 0, stdout);
    assert.match(stdout, /\[waiting\] AzureIdentity default\/writer: it is Created: Azure is at work \[AssignmentPending\]/);
    assert.match(stdout, /\nNot ready yet: AssignmentPending\n/);
  });

  it('warns of an exception that a running pod matches since it was made', async () => {
    await bound('excepted-later');
    await harness.untilAssigned('excepted-later-default-writer');
    await createException('too-late', 'excepted-later');
    const { code, stdout } = await runPlugin(kubeconfig(), ['check', 'pod', 'excepted-later', '--release-namespace=default']);
    assert.equal(code, 0, stdout);
    assert.match(stdout, /\[warning\] token proxy: .*AzurePodIdentityException default\/too-late matches its labels now.* \[Excepted\]/);
  });

  it('shows the latest refusal of a pod that was never made, from Events', async () => {
    const recordRefusal = (name: string, minutesAgo: number, error: string) =>
      harness.client.call('POST', '/apis/events.k8s.io/v1/namespaces/default/events', {
        body: {
          apiVersion: 'events.k8s.io/v1',
          kind: 'Event',
          metadata: { name },
          eventTime: new Date(Date.now() - minutesAgo * 60_000).toISOString().replace('Z', '000Z'),
          reportingController: 'replicaset-controller',
          reportingInstance: 'x',
          action: 'Create',
          reason: 'FailedCreate',
          type: 'Warning',
          note: `Error creating: pods "refused-x" is forbidden: ${error}`,
          regarding: { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'refused-5d4', namespace: 'default' },
        },
      });
    await recordRefusal('refused.1', 1, 'ValidatingAdmissionPolicy aad-pod-identity-marker denied request');
    await recordRefusal('refused.2', 20, 'exceeded quota: compute');
    const { firstBroken } = await reportOf(kubeconfig(), 'check', 'pod', 'refused', '--release-namespace=default');
    assert.equal(firstBroken, 'RefusedByPolicy');
  });

  it('names a pod that does not exist, and ends with code 1', async () => {
    const { code, stdout } = await runPlugin(kubeconfig(), ['check', 'pod', 'nobody', '--release-namespace=default']);
    assert.equal(code, 1);
    assert.match(stdout, /First broken link: PodNotFound\n {2}Compare the name and the namespace\.\n {2}\$ kubectl get pods -n default\n/);
  });
});

describe('check', () => {
  it('warns of an identity that Azure refused and that is quarantined', async () => {
    await harness.untilReason('unknown-identity-default-nobody', 'IdentityNotFound');
    let warnings: string[] = [];
    // The leader writes its status at intervals.
    await eventually(async () => {
      const { sections } = await reportOf(kubeconfig(), 'check', '--release-namespace=default');
      warnings = sections
        .flatMap(({ findings }) => findings)
        .filter(({ status, code }) => status === 'warning' && code === 'Quarantined')
        .map(({ title, message, advice, command }) => [title, message, advice, command].join('\n'));
      return warnings.length > 0;
    }, 'the quarantined identity');
    assert.match(
      warnings.join('\n\n'),
      /^virtualMachineScaleSets unknown-identity\n.*\(AzureIdentity default\/nobody\) is kept out until 2.*\nMend .*\nkubectl edit azureidentity nobody -n default$/im,
    );
  });
});

describe('list', () => {
  it('shows each identity of each pod with its state and reason', async () => {
    const { code, stdout } = await runPlugin(kubeconfig(), ['list', '-A']);
    assert.equal(code, 0);
    assert.match(stdout, /^NAMESPACE +POD +IDENTITY +STATE +REASON +WAITING +NODE +SCOPE\n/);
    assert.match(stdout, /^default +healthy +default\/writer +Assigned +- +- +node-healthy +virtualMachineScaleSets\/healthy$/m);
    assert.match(stdout, /^default +unknown-identity +default\/nobody +Created +IdentityNotFound +\d+[smh] /m);
    assert.match(stdout, /^default +unbound +- +None +BindingMissing /m);
    assert.match(stdout, /^default +misspelt +default\/wirter +None +IdentityMissing /m);
  });

  it('shows who can get an identity: by binding, and by its node', async () => {
    const { stdout } = await runPlugin(kubeconfig(), ['list', '--who', 'writer']);
    assert.match(stdout, /^default\/healthy +default\/healthy +Assigned$/m);
    assert.match(stdout, /Nothing keeps these pods there from asking IMDS for it:\n/);
  });

  it('takes the client id of an identity for --who', async () => {
    const { stdout } = await runPlugin(kubeconfig(), ['list', '--who', clientIds.writer]);
    assert.match(stdout, /^default\/healthy +default\/healthy +Assigned$/m);
  });

  it('names the identities that there are when --who means none', async () => {
    const { code, stderr } = await runPlugin(kubeconfig(), ['list', '--who', 'wirter']);
    assert.equal(code, 2);
    assert.match(stderr, /--who is 'wirter': accepted is one of .*default\/writer/);
  });
});
