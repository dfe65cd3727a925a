// The real API server calls the webhook: every decision, every kind of workload, and what kubectl shows.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { at, isRecord, stringAt } from '../../../common/records.ts';
import { eventually } from '../../harness/wait.ts';
import type { Harness } from './harness.ts';
import { startHarness } from './harness.ts';
import { withOtherWebhook } from './other-webhook.ts';
import type { WebhookProcess } from './webhook-process.ts';

const image = 'app:1';
const ours = ['aad-pod-identity-init', 'aad-pod-identity-proxy'];
const key = (name: string) => `aadpodidentity.k8s.io/${name}`;

interface PodParts {
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  spec?: Record<string, unknown>;
}
const pod = (name: string, { labels, annotations, spec }: PodParts = {}) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'team', labels: { aadpodidbinding: 'reader', ...labels }, annotations: annotations ?? {} },
  spec: { containers: [{ name: 'app', image }], ...spec },
});
const oneContainer = (more: object) => ({ spec: { containers: [{ name: 'app', image, ...more }] } });

describe('the webhook behind a real API server', () => {
  let harness: Harness;
  let webhook: WebhookProcess;

  before(async () => {
    harness = await startHarness();
    webhook = await harness.startRegistered();
    await harness.createNamespace('team');
    const scheduling = { nodeSelector: { 'kubernetes.io/os': 'windows' } };
    const runtimeClass = {
      apiVersion: 'node.k8s.io/v1',
      kind: 'RuntimeClass',
      metadata: { name: 'windows' },
      handler: 'runhcs',
      scheduling,
    };
    await harness.client.call('POST', '/apis/node.k8s.io/v1/runtimeclasses', { body: runtimeClass });
  });
  after(async () => {
    await harness?.stop();
  });

  const namesOf = (found: unknown, field: string): string[] => {
    const spec = isRecord(found) && isRecord(found.spec) ? found.spec : {};
    const list = spec[field];
    return Array.isArray(list) ? list.map((item: unknown) => stringAt(item, 'name') ?? '') : [];
  };
  const get = (name: string, namespace = 'team') => harness.client.call('GET', `/api/v1/namespaces/${namespace}/pods/${name}`);
  const create = async (manifest: object, ...args: string[]) => harness.kubectl(['create', ...args], manifest);

  it("puts init container and proxy in front of the pod's own init containers", async () => {
    const { code, stderr } = await create(
      pod('bare', { spec: { initContainers: [{ name: 'migrate', image }], containers: [{ name: 'app', image }] } }),
    );
    assert.equal(code, 0, stderr);
    assert.equal(stderr, '');
    const found = await get('bare');
    assert.deepEqual(namesOf(found, 'initContainers'), [...ours, 'migrate']);
    assert.deepEqual(namesOf(found, 'containers'), ['app']);
    const [init, proxy] = (found as { spec: { initContainers: Record<string, unknown>[] } }).spec.initContainers;
    const mounts = (container: unknown) =>
      (isRecord(container) && Array.isArray(container.volumeMounts) ? container.volumeMounts : []).map((mount: unknown) =>
        stringAt(mount, 'mountPath'),
      );
    assert.deepEqual(mounts(init), ['/var/run/secrets/kubernetes.io/serviceaccount']);
    assert.deepEqual(mounts(proxy), ['/var/run/secrets/aad-pod-identity', '/var/run/secrets/kubernetes.io/serviceaccount']);
    assert.equal(proxy?.restartPolicy, 'Always');
    const args = Array.isArray(proxy?.args) ? proxy.args.join(' ') : '';
    const service = await harness.client.call('GET', '/api/v1/namespaces/identity-system/services/aad-pod-identity-broker');
    assert.match(args, new RegExp(`--broker-address=${stringAt(service, 'spec', 'clusterIP')}:9443`));
    assert.match(args, /--broker-url=https:\/\/aad-pod-identity-broker\.identity-system\.svc:9443/);
  });

  const branches: { reason: string; name: string; parts: PodParts; says: RegExp; denied?: boolean }[] = [
    { reason: 'no_selector', name: 'empty-label', parts: { labels: { aadpodidbinding: '' } }, says: /the label aadpodidbinding is empty/ },
    {
      reason: 'opted_out',
      name: 'opted-out',
      parts: { annotations: { [key('inject')]: 'false' } },
      says: /switched off by the inject annotation/,
    },
    { reason: 'excepted', name: 'excepted', parts: { labels: { app: 'Legacy' } }, says: /AzurePodIdentityException legacy/ },
    {
      reason: 'windows',
      name: 'windows',
      parts: { spec: { os: { name: 'windows' }, containers: [{ name: 'app', image }] } },
      says: /Windows pods cannot be injected/,
    },
    {
      reason: 'windows',
      name: 'windows-options',
      parts: oneContainer({ securityContext: { windowsOptions: { runAsUserName: 'ContainerUser' } } }),
      says: /Windows pods cannot be injected/,
    },
    {
      reason: 'windows',
      name: 'windows-class',
      parts: { spec: { runtimeClassName: 'windows', containers: [{ name: 'app', image }] } },
      says: /Windows pods cannot be injected/,
    },
    {
      reason: 'host_network',
      name: 'host-network',
      parts: { spec: { hostNetwork: true, containers: [{ name: 'app', image }] } },
      says: /pods with hostNetwork are not injected/,
    },
    {
      reason: 'reserved_name',
      name: 'reserved-name',
      parts: { spec: { containers: [{ name: ours[1], image }] } },
      says: /spec\.containers\[aad-pod-identity-proxy\]: names of the injected/,
      denied: true,
    },
    {
      reason: 'reserved_mount',
      name: 'reserved-mount',
      parts: oneContainer({ volumeMounts: [{ name: 'aad-pod-identity-token', mountPath: '/token' }] }),
      says: /volumeMounts\[aad-pod-identity-token\]: only the injected containers may mount/,
      denied: true,
    },
    {
      reason: 'reserved_id',
      name: 'reserved-id',
      parts: oneContainer({ securityContext: { runAsUser: 25790 } }),
      says: /user and group 25790 are reserved/,
      denied: true,
    },
    {
      reason: 'port_conflict',
      name: 'port-conflict',
      parts: oneContainer({ ports: [{ containerPort: 2579 }] }),
      says: /TCP port 2579 is reserved/,
      denied: true,
    },
    {
      reason: 'invalid_annotation',
      name: 'invalid',
      parts: { annotations: { [key('inject')]: 'yes' } },
      says: /accepted is true or false/,
      denied: true,
    },
    {
      reason: 'environment_conflict',
      name: 'environment',
      parts: { annotations: { [key('interception')]: 'none' }, ...oneContainer({ env: [{ name: 'MSI_ENDPOINT', value: 'x' }] }) },
      says: /spec\.containers\[app\]\.env\[MSI_ENDPOINT\]/,
      denied: true,
    },
  ];
  for (const { reason, name, parts, says, denied } of branches) {
    it(`${denied === true ? 'denies' : 'admits unchanged'} the pod ${name} with the reason ${reason} and says why`, async () => {
      if (reason === 'excepted') {
        const exception = {
          apiVersion: 'aadpodidentity.k8s.io/v1',
          kind: 'AzurePodIdentityException',
          metadata: { name: 'legacy', namespace: 'team' },
          spec: { podLabels: { app: 'legacy', other: 'x' } },
        };
        assert.equal((await harness.kubectl(['apply'], exception)).code, 0);
      }
      // No event says when the webhook's watch has brought the exception.
      await eventually(
        async () => reason !== 'excepted' || (await create(pod('probe', parts), '--dry-run=server')).stderr.includes('Exception'),
        'the exception applies',
      );
      const { code, stderr } = await create(pod(name, parts));
      assert.match(stderr, says);
      assert.equal(code, denied === true ? 1 : 0, stderr);
      if (denied !== true) assert.deepEqual(namesOf(await get(name), 'initContainers'), []);
      const record = await webhook.logged((one) => one.msg === 'admission' && one.name === name);
      assert.equal(record.reason, reason);
    });
  }

  it('leaves a mirror pod as it is', async () => {
    const { code, stderr } = await create(
      pod('mirror', { annotations: { 'kubernetes.io/config.mirror': 'x' }, spec: { nodeName: 'n', containers: [{ name: 'app', image }] } }),
    );
    assert.equal(code, 0, stderr);
    assert.deepEqual(namesOf(await get('mirror'), 'initContainers'), []);
    assert.equal((await webhook.logged((one) => one.msg === 'admission' && one.name === 'mirror')).operations, 0);
  });

  it('removes a forged status from a mirror pod, and nothing else', async () => {
    const { code, stderr } = await create(
      pod('forged', {
        annotations: { 'kubernetes.io/config.mirror': 'x', [key('status')]: '{"templateHash":"x"}' },
        spec: { nodeName: 'n', containers: [{ name: ours[1], image }] },
      }),
    );
    assert.equal(code, 0, stderr);
    const found = await get('forged');
    assert.deepEqual(at(found, 'metadata', 'annotations'), { 'kubernetes.io/config.mirror': 'x' });
    assert.deepEqual(namesOf(found, 'containers'), [ours[1]]);
    assert.equal((await webhook.logged((one) => one.msg === 'admission' && one.name === 'forged')).reason, 'mirror_pod');
  });

  const template = { metadata: { labels: { aadpodidbinding: 'reader', app: 'w' } }, spec: { containers: [{ name: 'app', image }] } };
  const selector = { matchLabels: { app: 'w' } };
  const workloads: { kind: string; apiVersion: string; spec: object }[] = [
    { kind: 'Deployment', apiVersion: 'apps/v1', spec: { selector, template } },
    { kind: 'StatefulSet', apiVersion: 'apps/v1', spec: { selector, serviceName: 'w', template } },
    { kind: 'Job', apiVersion: 'batch/v1', spec: { template: { ...template, spec: { ...template.spec, restartPolicy: 'Never' } } } },
  ];
  for (const { kind, apiVersion, spec } of workloads) {
    it(`injects the pods of a ${kind}`, async () => {
      const name = kind.toLowerCase();
      const { code, stderr } = await create({ apiVersion, kind, metadata: { name, namespace: 'team' }, spec });
      assert.equal(code, 0, stderr);
      await eventually(async () => {
        const list = await harness.client.call('GET', '/api/v1/namespaces/team/pods');
        const items = isRecord(list) && Array.isArray(list.items) ? list.items : [];
        const own = items.find((item: unknown) => stringAt(item, 'metadata', 'name')?.startsWith(`${name}-`));
        return own !== undefined && namesOf(own, 'initContainers').slice(0, 2).join() === ours.join();
      }, `${kind} has an injected pod`);
    });
  }

  it('injects the pods of a DaemonSet', async () => {
    await harness.client.call('POST', '/api/v1/nodes', { body: { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n1' } } });
    const { code, stderr } = await create({
      apiVersion: 'apps/v1',
      kind: 'DaemonSet',
      metadata: { name: 'daemon', namespace: 'team' },
      spec: { selector, template: { ...template, spec: { ...template.spec, tolerations: [{ operator: 'Exists' }] } } },
    });
    assert.equal(code, 0, stderr);
    await webhook.logged((record) => record.msg === 'admission' && record.name === 'daemon-*' && record.decision === 'inject');
  });

  it('injects on dry run and on server-side apply', async () => {
    const dry = await create(pod('dry'), '--dry-run=server', '-o', 'json');
    assert.equal(dry.code, 0, dry.stderr);
    assert.deepEqual(namesOf(JSON.parse(dry.stdout), 'initContainers'), ours);
    assert.equal((await webhook.logged((record) => record.name === 'dry')).dryRun, true);
    for (const time of ['first', 'second']) {
      const applied = await harness.kubectl(['apply', '--server-side'], pod('applied'));
      assert.equal(applied.code, 0, `${time}: ${applied.stderr}`);
    }
    assert.deepEqual(namesOf(await get('applied'), 'initContainers'), ours);
  });

  // https://github.com/kubernetes/kubernetes/issues/104641
  for (const by of ['server', 'client'])
    it(`keeps the order of init containers when the ${by} applies a pod again`, async () => {
      const name = `again-by-${by}`;
      const initContainers = ['b', 'a'].map((init) => ({ name: init, image }));
      for (const tag of ['1', '2']) {
        const manifest = pod(name, { spec: { initContainers, containers: [{ name: 'app', image: `app:${tag}` }] } });
        const { code, stderr } = await harness.kubectl(['apply', `--server-side=${by === 'server'}`], manifest);
        assert.equal(code, 0, stderr);
      }
      assert.deepEqual(namesOf(await get(name), 'initContainers'), [...ours, 'b', 'a']);
    });

  it('injects a pod that a policy engine labels, since it is called after the engine', async () => {
    const { metadata, ...rest } = pod('labelled-by-policy');
    // https://github.com/kyverno/kyverno/issues/7997
    await withOtherWebhook(harness, { namespace: 'team', name: 'kyverno-resource-mutating-webhook-cfg', change: 'bind' }, async () => {
      const { code, stderr } = await create({ ...rest, metadata: { ...metadata, labels: { app: 'a' } } });
      assert.equal(code, 0, stderr);
    });
    assert.deepEqual(namesOf(await get('labelled-by-policy'), 'initContainers'), ours);
  });

  it('gives the proxy of an annotated pod a named port for its metrics', async () => {
    assert.equal((await create(pod('measured', { annotations: { [key('proxy-metrics-port')]: '9402' } }))).code, 0);
    const { spec } = (await get('measured')) as { spec: { initContainers: { ports?: unknown; args: string[] }[] } };
    assert.deepEqual(spec.initContainers[1]?.ports, [{ name: 'aad-metrics', containerPort: 9402, protocol: 'TCP' }]);
    assert.ok(spec.initContainers[1]?.args.includes('--metrics-listen=:9402'));
  });

  it("keeps a pod's AppArmor profile of the node from its containers", async () => {
    const appArmorProfile = { type: 'Localhost', localhostProfile: 'app' };
    const { code, stderr } = await create(
      pod('confined', { spec: { securityContext: { appArmorProfile }, containers: [{ name: 'app', image }] } }),
    );
    assert.equal(code, 0, stderr);
    const { spec } = (await get('confined')) as { spec: { initContainers: unknown[]; securityContext: unknown } };
    assert.deepEqual(spec.securityContext, { appArmorProfile });
    for (const container of spec.initContainers)
      assert.deepEqual(at(container, 'securityContext', 'appArmorProfile'), { type: 'RuntimeDefault' });
  });

  // https://github.com/istio/istio/issues/19395, https://github.com/projectcontour/contour/issues/4322
  it('lets kubectl drain evict an injected pod without --delete-emptydir-data', async () => {
    const node = { apiVersion: 'v1', kind: 'Node', metadata: { name: 'drained' } };
    await harness.client.call('POST', '/api/v1/nodes', { body: node });
    const placed = await create(pod('evicted', { spec: { nodeName: 'drained', containers: [{ name: 'app', image }] } }));
    assert.equal(placed.code, 0, placed.stderr);
    const { code, stdout, stderr } = await harness.kubectl(['drain', 'drained', '--force', '--ignore-daemonsets', '--dry-run=client']);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /pod team\/evicted/);
    await harness.client.call('DELETE', '/api/v1/nodes/drained');
  });

  it('injects a copy of a live pod again and strips a copy that opts out', async () => {
    const live = (await get('applied')) as { metadata: Record<string, unknown>; spec: Record<string, unknown> };
    const copy = (name: string, annotations: object) => ({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: {
        name,
        namespace: 'team',
        labels: live.metadata.labels,
        annotations: { ...(live.metadata.annotations as object), ...annotations },
      },
      spec: live.spec,
    });
    assert.equal((await create(copy('copy', {}))).code, 0);
    assert.deepEqual(namesOf(await get('copy'), 'initContainers'), ours);
    assert.equal((await create(copy('copy-without', { [key('inject')]: 'false' }))).code, 0);
    const without = await get('copy-without');
    assert.deepEqual(namesOf(without, 'initContainers'), []);
    assert.equal(stringAt(without, 'metadata', 'annotations', key('status')), undefined);
  });

  it('injects a copy of kubectl debug that keeps labels and no annotations', async () => {
    assert.equal((await create(pod('original', oneContainer({ env: [{ name: 'A', value: '1' }] })))).code, 0);
    const debug = ['debug', 'original', '-n', 'team', '--keep-labels', '--image=busybox', '--container=debugger'];
    const { code, stderr } = await harness.kubectl([...debug, '--copy-to=debug', '--set-image=*=other:1', '--', 'sleep', '1']);
    assert.equal(code, 0, stderr);
    const [original, copy] = [await get('original'), await get('debug')];
    assert.deepEqual(namesOf(copy, 'containers'), ['app', 'debugger']);
    assert.deepEqual(at(copy, 'spec', 'initContainers'), at(original, 'spec', 'initContainers'));
    assert.equal(stringAt(copy, 'metadata', 'annotations', key('status')), stringAt(original, 'metadata', 'annotations', key('status')));
  });

  it('reads the annotation of a namespace created just before its pod', async () => {
    const namespace = {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: {
        name: 'fresh',
        annotations: { [key('interception')]: 'none' },
        labels: { 'pod-security.kubernetes.io/enforce': 'restricted' },
      },
    };
    await harness.client.call('POST', '/api/v1/namespaces', { body: namespace });
    const strict = {
      allowPrivilegeEscalation: false,
      capabilities: { drop: ['ALL'] },
      runAsNonRoot: true,
      seccompProfile: { type: 'RuntimeDefault' },
    };
    const manifest = pod('strict', oneContainer({ securityContext: strict }));
    const body = { ...manifest, metadata: { ...manifest.metadata, namespace: 'fresh' } };
    await harness.createPodInNew('fresh', body);
    const found = await get('strict', 'fresh');
    assert.deepEqual(namesOf(found, 'initContainers'), ['aad-pod-identity-proxy']);
    const [app] = (found as { spec: { containers: { env: { name: string }[] }[] } }).spec.containers;
    assert.deepEqual(
      app?.env.map((variable) => variable.name),
      ['IDENTITY_ENDPOINT', 'IDENTITY_HEADER'],
    );
  });

  it('warns about a namespace whose Pod Security refuses the init container', async () => {
    await harness.createNamespace('baseline', { labels: { 'pod-security.kubernetes.io/enforce': 'baseline' } });
    const manifest = pod('refused');
    const { code, stderr } = await create({ ...manifest, metadata: { ...manifest.metadata, namespace: 'baseline' } });
    assert.equal(code, 1);
    assert.match(stderr, /violates PodSecurity/);
    assert.match(stderr, /Warning: namespace baseline enforces pod security baseline, which refuses NET_ADMIN/);
  });
});
