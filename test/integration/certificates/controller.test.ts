// The certificate controller against the real API server, also two of them at once.
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { brokerCertificateSecretName, caBundleConfigMapName, caSecretName, webhookCertificateSecretName } from '../../../api/names.ts';
import { systemClock } from '../../../common/clock.ts';
import type { CertificateController } from '../../../controller/certificates/controller.ts';
import { startCertificateController } from '../../../controller/certificates/controller.ts';
import type { KubeClient } from '../../../lib/kube/client.ts';
import { connect, mergePatch } from '../../../lib/kube/client.ts';
import type { Informer } from '../../../lib/kube/informer.ts';
import { startInformer } from '../../../lib/kube/informer.ts';
import { at, stringAt } from '../../../lib/kube/objects.ts';
import type { Resource } from '../../../lib/kube/resources.ts';
import { configMaps, mutatingWebhookConfigurations, namespaces, resourcePath, secrets } from '../../../lib/kube/resources.ts';
import { decodeSecretData } from '../../../lib/kube/secret-data.ts';
import { silentLogger } from '../../../lib/log.ts';
import type { ServingCertificate } from '../../../lib/tls/serving-certificate.ts';
import { followServingCertificate } from '../../../lib/tls/serving-certificate.ts';
import type { ControlPlane } from '../../cluster/control-plane.ts';
import { startControlPlane } from '../../cluster/control-plane.ts';

const day = 24 * 3600 * 1000;

describe('certificates on a real API server', () => {
  let plane: ControlPlane;
  let client: KubeClient;
  let namespace: string;
  let count = 0;
  const running: { stop(): Promise<void> }[] = [];

  before(async () => {
    plane = await startControlPlane();
    client = connect({ kubeconfig: plane.kubeconfig, userAgent: 'test', qps: 1000 });
  });
  after(async () => {
    await client?.close();
    await plane?.stop();
  });
  beforeEach(async () => {
    count += 1;
    namespace = `home-${count}`;
    await client.call('POST', resourcePath(namespaces), { body: { metadata: { name: namespace } } });
    const webhook = (name: string) => ({
      name: `${name}.example.test`,
      clientConfig: { service: { name: 'hook', namespace, path: '/mutate' } },
      sideEffects: 'None',
      admissionReviewVersions: ['v1'],
      failurePolicy: 'Ignore',
      objectSelector: { matchLabels: { nobody: 'has-this' } },
      rules: [{ apiGroups: [''], apiVersions: ['v1'], resources: ['pods'], operations: ['CREATE'] }],
    });
    await client.call('POST', resourcePath(mutatingWebhookConfigurations), {
      body: { metadata: { name: namespace }, webhooks: [webhook('first'), webhook('second')] },
    });
  });
  afterEach(async () => {
    await Promise.all(running.splice(0).map((part) => part.stop()));
    await client.call('DELETE', resourcePath(mutatingWebhookConfigurations, { name: namespace }));
  });

  const start = (wall?: () => number): CertificateController => {
    const controller = startCertificateController({
      client,
      log: silentLogger,
      namespace,
      webhookService: 'hook',
      brokerService: 'broker',
      webhookConfiguration: namespace,
      ...(wall === undefined ? {} : { clock: { ...systemClock, wall } }),
    });
    running.push(controller);
    return controller;
  };
  const follow = (): ServingCertificate => {
    const certificate = followServingCertificate({ client, log: silentLogger, namespace, secret: brokerCertificateSecretName });
    running.push(certificate);
    return certificate;
  };
  const secret = async (name: string) => decodeSecretData(await client.call('GET', resourcePath(secrets, { namespace, name })));
  const configuration = () => client.call('GET', resourcePath(mutatingWebhookConfigurations, { name: namespace }));
  const caBundles = (raw: unknown): string[] => {
    const webhooks = at(raw, 'webhooks');
    return (Array.isArray(webhooks) ? webhooks : []).map((webhook: unknown) =>
      Buffer.from(stringAt(webhook, 'clientConfig', 'caBundle') ?? '', 'base64').toString(),
    );
  };
  /** Resolves when the object, as the API server sends it, is as wanted. */
  const until = async (resource: Resource, name: string, wanted: (raw: unknown) => boolean) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const copy: Informer<unknown> = startInformer({
      client,
      log: silentLogger,
      resource,
      ...(resource === mutatingWebhookConfigurations ? {} : { namespace }),
      fieldSelector: `metadata.name=${name}`,
      project: (raw) => raw,
    });
    copy.onChange(({ after: raw }) => {
      if (raw !== undefined && wanted(raw)) resolve();
    });
    await promise;
    await copy.stop();
  };

  it('issues all certificates from nothing, and every webhook trusts their CA', async () => {
    await start().whenReconciled();
    const ca = await secret(caSecretName);
    const both = `${ca['current.crt']}${ca['next.crt']}`;
    assert.deepEqual(caBundles(await configuration()), [both, both]);
    for (const [name, service] of [
      [webhookCertificateSecretName, 'hook'],
      [brokerCertificateSecretName, 'broker'],
    ] as const) {
      const leaf = new X509Certificate((await secret(name))['tls.crt'] ?? '');
      assert.equal(leaf.verify(new X509Certificate(ca['current.crt'] ?? '').publicKey), true);
      assert.equal(leaf.checkHost(`${service}.${namespace}.svc`), `${service}.${namespace}.svc`);
    }
  });

  it('repairs the caBundle, the ConfigMap and a leaf that somebody edits or deletes', async () => {
    await start().whenReconciled();
    const ca = await secret(caSecretName);
    const both = `${ca['current.crt']}${ca['next.crt']}`;

    await client.call('PATCH', resourcePath(mutatingWebhookConfigurations, { name: namespace }), {
      contentType: 'application/json-patch+json',
      body: [{ op: 'remove', path: '/webhooks/1/clientConfig/caBundle' }],
    });
    await until(mutatingWebhookConfigurations, namespace, (raw) => caBundles(raw).every((bundle) => bundle === both));

    await client.call('PATCH', resourcePath(configMaps, { namespace, name: caBundleConfigMapName }), {
      contentType: mergePatch,
      body: { data: { 'ca.crt': 'x' } },
    });
    await until(configMaps, caBundleConfigMapName, (raw) => at(raw, 'data', 'ca.crt') === both);

    await client.call('DELETE', resourcePath(secrets, { namespace, name: webhookCertificateSecretName }));
    await until(secrets, webhookCertificateSecretName, (raw) => decodeSecretData(raw)['tls.crt']?.startsWith('-----BEGIN') === true);
  });

  it('patches a webhook configuration that is created later', async () => {
    const whole = await configuration();
    await client.call('DELETE', resourcePath(mutatingWebhookConfigurations, { name: namespace }));
    await start().whenReconciled();
    await client.call('POST', resourcePath(mutatingWebhookConfigurations), {
      body: { metadata: { name: namespace }, webhooks: at(whole, 'webhooks') },
    });
    await until(mutatingWebhookConfigurations, namespace, (raw) => caBundles(raw).every((bundle) => bundle !== ''));
  });

  it('converges to one CA, one bundle and its leaves when two run at once', async () => {
    const both = [start(), start()];
    await Promise.all(both.map((controller) => controller.whenReconciled()));
    const ca = await secret(caSecretName);
    const bundle = `${ca['current.crt']}${ca['next.crt']}`;
    assert.deepEqual(caBundles(await configuration()), [bundle, bundle]);
    const leaf = new X509Certificate((await secret(brokerCertificateSecretName))['tls.crt'] ?? '');
    assert.equal(leaf.verify(new X509Certificate(ca['current.crt'] ?? '').publicKey), true);
  });

  it('renews a leaf, which followers receive and keep when the Secret is damaged', async () => {
    const begin = Date.now();
    const first = start(() => begin);
    await first.whenReconciled();
    const serving = follow();
    const changed = () =>
      new Promise<void>((resolve) => {
        const off = serving.onChange(() => {
          off();
          resolve();
        });
      });
    while (serving.keyPair === undefined || serving.caBundle === undefined) await changed();
    const before = serving.keyPair;
    await first.stop();

    const name = brokerCertificateSecretName;
    await client.call('PATCH', resourcePath(secrets, { namespace, name }), {
      contentType: mergePatch,
      body: { data: { 'tls.key': 'eA==' } },
    });
    await until(secrets, name, (raw) => decodeSecretData(raw)['tls.key'] === 'x');
    assert.equal(serving.keyPair, before);

    const renewed = changed();
    await start(() => begin + 61 * day).whenReconciled();
    await renewed;
    assert.notEqual(serving.keyPair.certificate, before.certificate);
    assert.ok(serving.keyPair.chain[0].validToDate.getTime() > begin + 150 * day);
  });
});
