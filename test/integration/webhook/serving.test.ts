// The webhook as a process: readiness, new certificates, a new Service of the broker, settings, a restart of the API server, shutdown.
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { after, before, beforeEach, describe, it } from 'node:test';
import { connect } from 'node:tls';
import { brokerServiceName } from '../../../api/names.ts';
import { isRecord, stringAt } from '../../../common/records.ts';
import { resourcePath, services } from '../../../lib/kube/resources.ts';
import { eventually } from '../../harness/wait.ts';
import type { Harness } from './harness.ts';
import { issueFor, releaseNamespace, startHarness } from './harness.ts';
import type { WebhookProcess } from './webhook-process.ts';

async function servedSerial(port: number): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port, servername: 'localhost', rejectUnauthorized: false });
  await once(socket, 'secureConnect');
  const { serialNumber } = socket.getPeerCertificate();
  socket.destroy();
  return serialNumber;
}

describe('the webhook process', () => {
  let harness: Harness;
  let webhook: WebhookProcess;
  let count = 0;

  before(async () => {
    harness = await startHarness();
    await harness.createNamespace('team');
  });
  after(async () => {
    await harness?.stop();
  });
  const ready = async (one = webhook) => (await one.readyz()).status === 200;
  const startRegistered = async (...flags: string[]) => {
    await webhook?.stop();
    webhook = await harness.startRegistered(flags);
  };
  const create = (metadata: object = {}, dryRun = false) => {
    count += 1;
    const body = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: `p${count}`, labels: { aadpodidbinding: 'reader' }, ...metadata },
      spec: { containers: [{ name: 'app', image: 'app:1' }] },
    };
    return harness.client.call('POST', '/api/v1/namespaces/team/pods', { body, ...(dryRun ? { query: { dryRun: 'All' } } : {}) });
  };
  const proxyArguments = (pod: unknown): string[] => {
    const spec = isRecord(pod) && isRecord(pod.spec) ? pod.spec : {};
    const all = [spec.initContainers, spec.containers].flatMap((list) => (Array.isArray(list) ? list : [])).filter(isRecord);
    const args = all.find((container) => container.name === 'aad-pod-identity-proxy')?.args;
    return Array.isArray(args) ? args.map(String) : [];
  };
  describe('with default settings', () => {
    beforeEach(() => startRegistered());

    it('is not ready until the configuration trusts its certificate', async () => {
      const { ca: other } = await issueFor(['localhost']);
      const fresh = await harness.startWebhook();
      await harness.register(fresh.port, other.certificate);
      await eventually(
        async () =>
          (await fresh.readyz()).text.includes('caBundle of MutatingWebhookConfiguration zz-aad-pod-identity-webhook does not verify'),
        'readyz names the configuration',
      );
      await harness.register(fresh.port, other.certificate + harness.ca.certificate);
      await eventually(() => ready(fresh), 'the webhook is ready');
      assert.deepEqual(await fresh.stop(), 0);
    });

    it('serves a new certificate without losing a request', async () => {
      const serving = new AbortController();
      const creating = (async () => {
        while (!serving.signal.aborted) await create({}, true);
      })();
      try {
        for (let round = 0; round < 5; round += 1) {
          const { leaf } = await issueFor(['localhost'], harness.ca);
          await harness.publishLeaf(leaf);
          const { serialNumber } = new X509Certificate(leaf.certificate);
          await eventually(async () => (await servedSerial(webhook.port)) === serialNumber, 'the new certificate is served');
        }
      } finally {
        serving.abort();
        await creating;
      }
    });

    it('keeps its certificate when the Secret is invalid', async () => {
      const { leaf } = await issueFor(['localhost'], harness.ca);
      await harness.publishLeaf({ certificate: leaf.certificate, key: 'nonsense' });
      await webhook.logged((record) => String(record.msg).includes('serving certificate refused'));
      await create();
      await harness.publishLeaf(leaf);
    });

    it('changes to another CA while the bundles hold both', async () => {
      const { ca, leaf } = await issueFor(['localhost']);
      await harness.register(webhook.port, harness.ca.certificate + ca.certificate);
      await harness.publishBundle(harness.ca.certificate + ca.certificate);
      await create();
      await harness.publishLeaf(leaf);
      await eventually(
        async () =>
          proxyArguments(await create()).some(
            (argument) => argument.startsWith('--broker-ca=') && argument.includes(ca.certificate.trim()),
          ),
        'pods get the new bundle',
      );
      await harness.register(webhook.port, ca.certificate);
      harness.ca = ca;
      await eventually(() => ready(), 'the webhook is ready');
      await create();
    });

    it("injects the new address when the broker's Service is created again", async () => {
      const path = resourcePath(services, { namespace: releaseNamespace, name: brokerServiceName });
      const old = await harness.client.call('GET', path);
      const address = (pod: unknown) => proxyArguments(pod).find((argument) => argument.startsWith('--broker-address='));
      assert.equal(address(await create()), `--broker-address=${stringAt(old, 'spec', 'clusterIP')}:9443`);
      await harness.client.call('DELETE', path);
      await eventually(async () => address(await create()) === undefined, 'pods get no address');
      const spec = { ports: [{ name: 'broker', port: 9443 }], ipFamilies: ['IPv6'] };
      const made = await harness.client.call('POST', resourcePath(services, { namespace: releaseNamespace }), {
        body: { apiVersion: 'v1', kind: 'Service', metadata: { name: brokerServiceName }, spec },
      });
      await eventually(
        async () => address(await create()) === `--broker-address=[${stringAt(made, 'spec', 'clusterIP')}]:9443`,
        'pods get the new address, which is IPv6',
      );
    });

    it('sees new objects after a restart of the API server', async () => {
      await harness.plane.restartApiServer();
      await create();
      const exception = {
        apiVersion: 'aadpodidentity.k8s.io/v1',
        kind: 'AzurePodIdentityException',
        metadata: { name: 'late', namespace: 'team' },
        spec: { podLabels: { app: 'late' } },
      };
      await harness.client.call('POST', '/apis/aadpodidentity.k8s.io/v1/namespaces/team/azurepodidentityexceptions', { body: exception });
      await eventually(
        async () => proxyArguments(await create({ labels: { aadpodidbinding: 'x', app: 'LATE' } })).length === 0,
        'the exception created after the restart applies',
      );
    });

    it('makes the API server deny only labelled pods while it is down', async () => {
      await webhook.stop();
      await assert.rejects(create(), /failed calling webhook "inject\.aadpodidentity\.k8s\.io"/);
      await create({ labels: { app: 'other' } });
    });

    it('exits with 0 on SIGTERM after serving requests', async () => {
      await Promise.all(Array.from({ length: 20 }, () => create({}, true)));
      assert.equal(await webhook.stop(), 0);
    });
  });

  it('puts the proxy first and denies Jobs in classic mode', async () => {
    await startRegistered('--native-sidecar=never');
    const made = await create();
    const spec = isRecord(made) && isRecord(made.spec) ? made.spec : {};
    assert.deepEqual(
      [spec.initContainers, spec.containers].map((list) => (Array.isArray(list) ? list.map((one: unknown) => stringAt(one, 'name')) : [])),
      [['aad-pod-identity-init'], ['aad-pod-identity-proxy', 'app']],
    );
    await assert.rejects(
      create({ ownerReferences: [{ apiVersion: 'batch/v1', kind: 'Job', name: 'j', uid: 'u' }] }),
      /a Job would never finish/,
    );
  });

  it('denies hostNetwork pods when the setting says so', async () => {
    await startRegistered('--host-network-pods=deny');
    const body = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'host', labels: { aadpodidbinding: 'r' } },
      spec: { hostNetwork: true, containers: [{ name: 'app', image: 'a' }] },
    };
    await assert.rejects(harness.client.call('POST', '/api/v1/namespaces/team/pods', { body }), /pods with hostNetwork are refused/);
  });
});
