// Together with what else changes pods on their way in: another webhook, LimitRange defaults, quota, the audit log.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { isRecord } from '../../../lib/kube/objects.ts';
import { startMeddler } from './meddler.ts';
import type { Stage, WebhookProcess } from './support.ts';
import { issueFor, setStage, until } from './support.ts';

const ours = ['aad-pod-identity-init', 'aad-pod-identity-proxy'];
interface Container {
  name: string;
  resources: { limits?: Record<string, string>; requests?: Record<string, string> };
  volumeMounts?: { mountPath: string }[];
}
interface FoundPod {
  spec: { containers: Container[]; initContainers: Container[] };
  status: { qosClass: string };
}

describe('the webhook among other admission', () => {
  let stage: Stage;
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
    stage = await setStage({
      apiServerFlags: { 'audit-policy-file': path.join(auditFolder, 'policy.json'), 'audit-log-path': auditLog() },
    });
    webhook = await stage.startWebhook();
    await stage.register(webhook.port);
    await until(async () => (await webhook.readyz()).status === 200, 'readiness');
    await stage.makeNamespace('team');
  });
  after(async () => {
    await stage?.stop();
    rmSync(auditFolder, { recursive: true, force: true });
  });

  const create = async (name: string, namespace = 'team', spec: object = {}): Promise<FoundPod> => {
    const body = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, labels: { aadpodidbinding: 'reader' } },
      spec: { containers: [{ name: 'app', image: 'app:1' }], ...spec },
    };
    return (await stage.client.call('POST', `/api/v1/namespaces/${namespace}/pods`, { body })) as FoundPod;
  };
  const admissionsOf = (name: string) => webhook.log.filter((record) => record.msg === 'admission' && record.name === name);

  /** Runs `work` while another webhook of that name is called as well. */
  const beside = async (name: string, what: Parameters<typeof startMeddler>[2], work: () => Promise<void>) => {
    const meddler = await startMeddler(stage.client, name, what, await issueFor(['localhost'], stage.ca));
    try {
      // The API server learns of a new configuration by a watch of its own.
      const probe = {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: 'probe', labels: { aadpodidbinding: 'x' } },
        spec: { containers: [{ name: 'app', image: 'a' }] },
      };
      await until(async () => {
        await stage.client.call('POST', '/api/v1/namespaces/team/pods', { body: probe, query: { dryRun: 'All' } });
        return meddler.calls > 0;
      }, 'a call of the other webhook');
      await work();
    } finally {
      await meddler.stop();
    }
  };

  for (const place of ['aa-mesh', 'zzz-mesh'])
    it(`${place}: wherever a mesh stands in the order, our containers end up first`, () =>
      beside(place, 'container', async () => {
        const found = await create(place);
        assert.deepEqual(
          found.spec.initContainers.map((one) => one.name),
          [...ours, 'mesh'],
        );
        assert.ok(admissionsOf(place).length >= 1);
      }));

  it('called again it finds its own parts as it would make them, although the API server has filled in defaults', () =>
    beside('zzz-policy', 'label', async () => {
      await create('again');
      assert.deepEqual(
        admissionsOf('again').map((record) => Number(record.operations) > 0),
        [true, false],
      );
    }));

  it('keeps the API token of the pod out of our containers and leaves it to the app', async () => {
    const { spec } = await create('token');
    const has = (container: Container | undefined) =>
      (container?.volumeMounts ?? []).filter((mount) => mount.mountPath === '/var/run/secrets/kubernetes.io/serviceaccount').length;
    assert.deepEqual([...spec.initContainers, ...spec.containers].map(has), [1, 1, 1]);
    assert.equal(JSON.stringify(spec.initContainers).includes('kube-api-access'), false);
  });

  it('keeps the defaults that a LimitRange gives our containers, and is let in where limits are demanded', async () => {
    await stage.makeNamespace('limited');
    const range = {
      type: 'Container',
      default: { cpu: '300m', memory: '128Mi' },
      defaultRequest: { cpu: '20m', memory: '32Mi' },
      max: { cpu: '1', memory: '1Gi' },
    };
    await stage.client.call('POST', '/api/v1/namespaces/limited/limitranges', {
      body: { apiVersion: 'v1', kind: 'LimitRange', metadata: { name: 'l' }, spec: { limits: [range] } },
    });
    let found: FoundPod | undefined;
    await until(async () => {
      found = await create(`p${Math.random().toString(36).slice(2)}`, 'limited');
      return found.spec.containers[0]?.resources.limits?.cpu === '300m';
    }, 'LimitRange at work');
    assert.deepEqual(
      found?.spec.initContainers.map((one) => one.resources.limits),
      [
        { cpu: '300m', memory: '64Mi' },
        { cpu: '300m', memory: '64Mi' },
      ],
    );
  });

  it('is let in by a quota that demands requests and limits of memory and requests of cpu', async () => {
    await stage.makeNamespace('quota');
    const hard = { 'requests.cpu': '10', 'requests.memory': '10Gi', 'limits.memory': '10Gi' };
    await stage.client.call('POST', '/api/v1/namespaces/quota/resourcequotas', {
      body: { apiVersion: 'v1', kind: 'ResourceQuota', metadata: { name: 'q' }, spec: { hard } },
    });
    const resources = { requests: { cpu: '1', memory: '1Gi' }, limits: { memory: '1Gi' } };
    await until(
      async () =>
        create('counted', 'quota', { containers: [{ name: 'app', image: 'a', resources }] }).then(
          () => true,
          (error: unknown) => {
            if (String(error).includes('status unknown for quota')) return false;
            throw error;
          },
        ),
      'the quota being counted',
    );
    await assert.rejects(create('uncounted', 'quota'), /must specify limits.memory for: app/);
  });

  it('a guaranteed pod is still guaranteed', async () => {
    const resources = { limits: { cpu: '1', memory: '1Gi' } };
    assert.equal(
      (await create('guaranteed', 'team', { containers: [{ name: 'app', image: 'a', resources }] })).status.qosClass,
      'Guaranteed',
    );
    assert.equal((await create('burstable')).status.qosClass, 'Burstable');
  });

  it('leaves decision, reason and template in the audit log', async () => {
    await create('audited');
    let event: Record<string, unknown> | undefined;
    await until(() => {
      const events = readFileSync(auditLog(), 'utf8')
        .trim()
        .split('\n')
        .map((line): unknown => JSON.parse(line));
      event = events.filter(isRecord).find((one) => isRecord(one.objectRef) && one.objectRef.name === 'audited');
      return event !== undefined;
    }, 'an audit event');
    const notes = isRecord(event?.annotations) ? event.annotations : {};
    assert.equal(notes['inject.aadpodidentity.k8s.io/decision'], 'inject');
    assert.equal(notes['inject.aadpodidentity.k8s.io/reason'], 'injected');
    assert.match(String(notes['inject.aadpodidentity.k8s.io/template-hash']), /^[0-9a-f]{16}$/);
  });
});
