// The life of the process: readiness, certificates that change, a Service made anew, settings, an API server that goes away, an orderly end.
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { after, before, beforeEach, describe, it } from 'node:test';
import { connect } from 'node:tls';
import { brokerServiceName } from '../../../api/names.ts';
import { isRecord, stringAt } from '../../../lib/kube/objects.ts';
import { resourcePath, services } from '../../../lib/kube/resources.ts';
import type { Stage, WebhookProcess } from './support.ts';
import { issueFor, releaseNamespace, setStage, until } from './support.ts';

async function servedSerial(port: number): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port, servername: 'localhost', rejectUnauthorized: false });
  await once(socket, 'secureConnect');
  const { serialNumber } = socket.getPeerCertificate();
  socket.destroy();
  return serialNumber;
}

describe('the webhook process', () => {
  let stage: Stage;
  let webhook: WebhookProcess;
  let count = 0;

  before(async () => {
    stage = await setStage();
    await stage.makeNamespace('team');
  });
  after(async () => {
    await stage?.stop();
  });
  const ready = async (one = webhook) => (await one.readyz()).status === 200;
  const startRegistered = async (...flags: string[]) => {
    await webhook?.stop();
    webhook = await stage.startWebhook(flags);
    await stage.register(webhook.port);
    await until(() => ready(), 'readiness');
  };
  const create = (metadata: object = {}, dryRun = false) => {
    count += 1;
    const body = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: `p${count}`, labels: { aadpodidbinding: 'reader' }, ...metadata },
      spec: { containers: [{ name: 'app', image: 'app:1' }] },
    };
    return stage.client.call('POST', '/api/v1/namespaces/team/pods', { body, ...(dryRun ? { query: { dryRun: 'All' } } : {}) });
  };
  const proxyArguments = (pod: unknown): string[] => {
    const spec = isRecord(pod) && isRecord(pod.spec) ? pod.spec : {};
    const all = [spec.initContainers, spec.containers].flatMap((list) => (Array.isArray(list) ? list : [])).filter(isRecord);
    const args = all.find((container) => container.name === 'aad-pod-identity-proxy')?.args;
    return Array.isArray(args) ? args.map(String) : [];
  };
  beforeEach(async (context) => {
    if (!context.name.startsWith('alone: ')) await startRegistered();
  });

  it('is not ready before the configuration trusts its certificate, and says why', async () => {
    const { ca: other } = await issueFor(['localhost']);
    const fresh = await stage.startWebhook();
    await stage.register(fresh.port, other.certificate);
    await until(
      async () =>
        (await fresh.readyz()).text.includes('caBundle of MutatingWebhookConfiguration zz-aad-pod-identity-webhook does not verify'),
      'the reason',
    );
    await stage.register(fresh.port, other.certificate + stage.ca.certificate);
    await until(() => ready(fresh), 'readiness');
    assert.deepEqual(await fresh.stop(), 0);
  });

  it('takes a new certificate without losing a request', async () => {
    const serving = new AbortController();
    const creating = (async () => {
      while (!serving.signal.aborted) await create({}, true);
    })();
    try {
      for (let round = 0; round < 5; round += 1) {
        const { leaf } = await issueFor(['localhost'], stage.ca);
        await stage.publishLeaf(leaf);
        const { serialNumber } = new X509Certificate(leaf.certificate);
        await until(async () => (await servedSerial(webhook.port)) === serialNumber, 'the new certificate being served');
      }
    } finally {
      serving.abort();
      await creating;
    }
  });

  it('keeps the certificate it has when the Secret holds nonsense', async () => {
    const { leaf } = await issueFor(['localhost'], stage.ca);
    await stage.publishLeaf({ certificate: leaf.certificate, key: 'nonsense' });
    await webhook.logged((record) => String(record.msg).includes('serving certificate refused'));
    await create();
    await stage.publishLeaf(leaf);
  });

  it('moves to another CA with both in the bundles for a while', async () => {
    const { ca, leaf } = await issueFor(['localhost']);
    await stage.register(webhook.port, stage.ca.certificate + ca.certificate);
    await stage.publishBundle(stage.ca.certificate + ca.certificate);
    await create();
    await stage.publishLeaf(leaf);
    await until(
      async () =>
        proxyArguments(await create()).some((argument) => argument.startsWith('--broker-ca=') && argument.includes(ca.certificate.trim())),
      'the new bundle in pods',
    );
    await stage.register(webhook.port, ca.certificate);
    stage.ca = ca;
    await until(() => ready(), 'readiness');
    await create();
  });

  it("follows the broker's Service when it is made anew", async () => {
    const path = resourcePath(services, { namespace: releaseNamespace, name: brokerServiceName });
    const old = await stage.client.call('GET', path);
    const address = (pod: unknown) => proxyArguments(pod).find((argument) => argument.startsWith('--broker-address='));
    assert.equal(address(await create()), `--broker-address=${stringAt(old, 'spec', 'clusterIP')}:9443`);
    await stage.client.call('DELETE', path);
    await until(async () => address(await create()) === undefined, 'pods without the address');
    const spec = { ports: [{ name: 'broker', port: 9443 }] };
    const made = await stage.client.call('POST', resourcePath(services, { namespace: releaseNamespace }), {
      body: { apiVersion: 'v1', kind: 'Service', metadata: { name: brokerServiceName }, spec },
    });
    await until(
      async () => address(await create()) === `--broker-address=${stringAt(made, 'spec', 'clusterIP')}:9443`,
      'pods with the new address',
    );
  });

  it('goes on after the API server was restarted', async () => {
    await stage.plane.restartApiServer();
    await create();
    const exception = {
      apiVersion: 'aadpodidentity.k8s.io/v1',
      kind: 'AzurePodIdentityException',
      metadata: { name: 'late', namespace: 'team' },
      spec: { podLabels: { app: 'late' } },
    };
    await stage.client.call('POST', '/apis/aadpodidentity.k8s.io/v1/namespaces/team/azurepodidentityexceptions', { body: exception });
    await until(
      async () => proxyArguments(await create({ labels: { aadpodidbinding: 'x', app: 'LATE' } })).length === 0,
      'an exception made after the restart',
    );
  });

  it('refuses pods while it is away, and lets in those without the label', async () => {
    await webhook.stop();
    await assert.rejects(create(), /failed calling webhook "inject\.aadpodidentity\.k8s\.io"/);
    await create({ labels: { app: 'other' } });
  });

  it('ends with 0 and answers what is under way', async () => {
    const creating = Array.from({ length: 20 }, () => create({}, true));
    await Promise.all(creating);
    assert.equal(await webhook.stop(), 0);
  });

  it('alone: classic mode puts the proxy first among the containers and refuses Jobs', async () => {
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

  it('alone: hostNetwork can be refused by setting', async () => {
    await startRegistered('--host-network-pods=deny');
    const body = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'host', labels: { aadpodidbinding: 'r' } },
      spec: { hostNetwork: true, containers: [{ name: 'app', image: 'a' }] },
    };
    await assert.rejects(stage.client.call('POST', '/api/v1/namespaces/team/pods', { body }), /pods with hostNetwork are refused/);
  });
});
