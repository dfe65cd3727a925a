// The webhook together with other admission: another webhook, LimitRange, ResourceQuota; and what the audit log gets.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { isRecord } from '../../../common/records.ts';
import { eventually } from '../../harness/wait.ts';
import type { Harness } from './harness.ts';
import { startHarness } from './harness.ts';
import { withOtherWebhook } from './other-webhook.ts';
import type { WebhookProcess } from './webhook-process.ts';
import { workloadIdentityLabel, workloadIdentityProxy } from './workload-identity.ts';

const ours = ['aad-pod-identity-init', 'aad-pod-identity-proxy'];
interface Container {
  name: string;
  resources: { limits?: Record<string, string>; requests?: Record<string, string> };
  volumeMounts?: { mountPath: string }[];
  env?: { name: string }[];
  command?: string[];
  args?: string[];
  image?: string;
  securityContext?: object;
  lifecycle?: object;
}
interface FoundPod {
  spec: { containers: Container[]; initContainers: Container[] };
  status: { qosClass: string };
}

describe('the webhook among other admission', () => {
  let harness: Harness;
  let webhook: WebhookProcess;
  let auditFolder: string;
  const auditLog = () => path.join(auditFolder, 'audit.log');

  before(async () => {
    auditFolder = mkdtempSync(path.join(tmpdir(), 'audit-'));
    const policy = {
      apiVersion: 'audit.k8s.io/v1',
      kind: 'Policy',
      rules: [{ level: 'Metadata', verbs: ['create'], resources: [{ group: '', resources: ['pods'] }] }],
    };
    writeFileSync(path.join(auditFolder, 'policy.json'), JSON.stringify(policy));
    harness = await startHarness({
      apiServerFlags: { 'audit-policy-file': path.join(auditFolder, 'policy.json'), 'audit-log-path': auditLog() },
    });
    webhook = await harness.startRegistered();
    await harness.createNamespace('team');
  });
  after(async () => {
    await harness?.stop();
    rmSync(auditFolder, { recursive: true, force: true });
  });

  const create = async (name: string, namespace = 'team', spec: object = {}): Promise<FoundPod> => {
    const body = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, labels: { aadpodidbinding: 'reader' } },
      spec: { containers: [{ name: 'app', image: 'app:1' }], ...spec },
    };
    return (await harness.client.call('POST', `/api/v1/namespaces/${namespace}/pods`, { body })) as FoundPod;
  };
  const admissionsOf = (name: string) => webhook.log.filter((record) => record.msg === 'admission' && record.name === name);

  for (const [order, name] of [
    ['before', 'aa-mesh'],
    ['after', 'zzz-mesh'],
  ] as const)
    it(`puts its containers first when a mesh is called ${order} it`, () =>
      withOtherWebhook(harness, { namespace: 'team', name, change: 'container' }, async () => {
        const found = await create(name);
        assert.deepEqual(
          found.spec.initContainers.map((one) => one.name),
          [...ours, 'mesh'],
        );
        await eventually(async () => admissionsOf(name).length >= 1, 'the admission is logged');
      }));

  for (const [order, name] of [
    ['before', 'aa-workload-identity'],
    ['after', 'zzz-workload-identity'],
  ] as const)
    it(`keeps its containers as they are when Azure Workload Identity is called ${order} it`, async () => {
      const alone = await create(`${name}-alone`);
      const other = { namespace: 'team', name, change: 'workloadIdentity', reinvocationPolicy: 'IfNeeded' } as const;
      await withOtherWebhook(harness, other, async () => {
        const metadata = { name, labels: { aadpodidbinding: 'reader', ...workloadIdentityLabel }, annotations: workloadIdentityProxy };
        const body = { apiVersion: 'v1', kind: 'Pod', metadata, spec: { containers: [{ name: 'app', image: 'app:1' }] } };
        const { spec } = (await harness.client.call('POST', '/api/v1/namespaces/team/pods', { body })) as FoundPod;
        assert.deepEqual(
          [...spec.initContainers, ...spec.containers].map((one) => one.name),
          [...ours, 'azwi-proxy-init', 'app', 'azwi-proxy'],
        );
        for (const index of [0, 1])
          for (const field of ['command', 'args', 'image', 'securityContext', 'lifecycle'] as const)
            assert.deepEqual(spec.initContainers[index]?.[field], alone.spec.initContainers[index]?.[field], field);
        assert.ok(spec.containers[0]?.env?.some((one) => one.name === 'AZURE_FEDERATED_TOKEN_FILE'));
        assert.ok(spec.containers[0]?.volumeMounts?.some((one) => one.mountPath === '/var/run/secrets/azure/tokens'));
      });
    });

  it('changes nothing when it is called again after the API server filled in defaults', () =>
    withOtherWebhook(harness, { namespace: 'team', name: 'zzz-policy', change: 'label' }, async () => {
      await create('again');
      // The log of the process arrives after the answer.
      await eventually(async () => admissionsOf('again').length === 2, 'the second admission is logged');
      assert.deepEqual(
        admissionsOf('again').map((record) => Number(record.operations) > 0),
        [true, false],
      );
    }));

  it('keeps the API token of the pod out of the injected containers only', async () => {
    const { spec } = await create('token');
    const has = (container: Container | undefined) =>
      (container?.volumeMounts ?? []).filter((mount) => mount.mountPath === '/var/run/secrets/kubernetes.io/serviceaccount').length;
    assert.deepEqual([...spec.initContainers, ...spec.containers].map(has), [1, 1, 1]);
    assert.equal(JSON.stringify(spec.initContainers).includes('kube-api-access'), false);
  });

  it('keeps the defaults that a LimitRange gives the injected containers', async () => {
    await harness.createNamespace('limited');
    const range = {
      type: 'Container',
      default: { cpu: '300m', memory: '128Mi' },
      defaultRequest: { cpu: '20m', memory: '32Mi' },
      max: { cpu: '1', memory: '1Gi' },
    };
    await harness.client.call('POST', '/api/v1/namespaces/limited/limitranges', {
      body: { apiVersion: 'v1', kind: 'LimitRange', metadata: { name: 'l' }, spec: { limits: [range] } },
    });
    let found: FoundPod | undefined;
    await eventually(async () => {
      found = await create(`p${Math.random().toString(36).slice(2)}`, 'limited');
      return found.spec.containers[0]?.resources.limits?.cpu === '300m';
    }, 'the LimitRange applies');
    assert.deepEqual(
      found?.spec.initContainers.map((one) => one.resources.limits),
      [
        { cpu: '300m', memory: '64Mi' },
        { cpu: '300m', memory: '64Mi' },
      ],
    );
  });

  it('satisfies a ResourceQuota that demands requests and limits', async () => {
    await harness.createNamespace('quota');
    const hard = { 'requests.cpu': '10', 'requests.memory': '10Gi', 'limits.memory': '10Gi' };
    await harness.client.call('POST', '/api/v1/namespaces/quota/resourcequotas', {
      body: { apiVersion: 'v1', kind: 'ResourceQuota', metadata: { name: 'q' }, spec: { hard } },
    });
    const resources = { requests: { cpu: '1', memory: '1Gi' }, limits: { memory: '1Gi' } };
    await eventually(
      async () =>
        create('counted', 'quota', { containers: [{ name: 'app', image: 'a', resources }] }).then(
          () => true,
          (error: unknown) => {
            if (String(error).includes('status unknown for quota')) return false;
            throw error;
          },
        ),
      'the quota is counted',
    );
    await assert.rejects(create('uncounted', 'quota'), /must specify limits.memory for: app/);
  });

  it('keeps the QoS class of a guaranteed pod', async () => {
    const resources = { limits: { cpu: '1', memory: '1Gi' } };
    assert.equal(
      (await create('guaranteed', 'team', { containers: [{ name: 'app', image: 'a', resources }] })).status.qosClass,
      'Guaranteed',
    );
    assert.equal((await create('burstable')).status.qosClass, 'Burstable');
  });

  it('writes decision, reason and template hash to the audit log', async () => {
    await create('audited');
    let event: Record<string, unknown> | undefined;
    await eventually(() => {
      const events = readFileSync(auditLog(), 'utf8')
        .trim()
        .split('\n')
        .map((line): unknown => JSON.parse(line));
      event = events.filter(isRecord).find((one) => isRecord(one.objectRef) && one.objectRef.name === 'audited');
      return event !== undefined;
    }, 'the audit event is written');
    const auditAnnotations = isRecord(event?.annotations) ? event.annotations : {};
    assert.equal(auditAnnotations['inject.aadpodidentity.k8s.io/decision'], 'inject');
    assert.equal(auditAnnotations['inject.aadpodidentity.k8s.io/reason'], 'injected');
    assert.match(String(auditAnnotations['inject.aadpodidentity.k8s.io/template-hash']), /^[0-9a-f]{16}$/);
  });
});
