// The certificate controller against the real API server, also two of them at once.
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { brokerCertificateSecretName, caBundleConfigMapName, caSecretName, webhookCertificateSecretName } from '../../../api/names.ts';
import { systemClock } from '../../../common/clock.ts';
import type { CertificateController } from '../../../controller/certificates/controller.ts';
import { startCertificateController } from '../../../controller/certificates/controller.ts';
import { entryOf } from '../../../controller/certificates/testing/entries.ts';
import type { WebhookEntry } from '../../../controller/certificates/webhook-entries-setting.ts';
import type { KubeClient } from '../../../lib/kube/client.ts';
import { connect, jsonPatch, mergePatch } from '../../../lib/kube/client.ts';
import { isNotFound } from '../../../lib/kube/errors.ts';
import type { Informer } from '../../../lib/kube/informer.ts';
import { startInformer } from '../../../lib/kube/informer.ts';
import { at, stringAt } from '../../../lib/kube/objects.ts';
import type { Resource } from '../../../lib/kube/resources.ts';
import {
  configMaps,
  endpointSlices,
  mutatingWebhookConfigurations,
  namespaces,
  pods,
  resourcePath,
  secrets,
} from '../../../lib/kube/resources.ts';
import { decodeSecretData } from '../../../lib/kube/secret-data.ts';
import { silentLogger } from '../../../lib/log.ts';
import type { ServingCertificate } from '../../../lib/tls/serving-certificate.ts';
import { followServingCertificate } from '../../../lib/tls/serving-certificate.ts';
import type { ControlPlane } from '../../cluster/control-plane.ts';
import { leaseControlPlane } from '../../harness/control-plane.ts';
import { createEndpointSlice } from '../../harness/endpoint-slice.ts';
import { eventually } from '../../harness/wait.ts';

const day = 24 * 3600 * 1000;

describe('certificates on a real API server', () => {
  let plane: ControlPlane;
  let client: KubeClient;
  let namespace: string;
  let count = 0;
  let entries: WebhookEntry[];
  /** Reasons of Events. */
  const recorded: string[] = [];
  const running: { stop(): Promise<void> }[] = [];

  before(async () => {
    plane = await leaseControlPlane();
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
    recorded.length = 0;
    entries = ['first', 'second'].map((name) => entryOf(name, namespace));
    await client.call('POST', resourcePath(mutatingWebhookConfigurations), { body: { metadata: { name: namespace } } });
  });
  afterEach(async () => {
    await Promise.all(running.splice(0).map((part) => part.stop()));
    await client.call('DELETE', resourcePath(mutatingWebhookConfigurations, { name: namespace })).catch((error: unknown) => {
      if (!isNotFound(error)) throw error;
    });
  });

  const putEndpoint = (ready: boolean) => createEndpointSlice(client, { namespace, name: `hook-${ready}`, service: 'hook', ready });
  const start = (wall?: () => number): CertificateController => {
    const controller = startCertificateController({
      client,
      log: silentLogger,
      namespace,
      webhookService: 'hook',
      brokerService: 'broker',
      webhookConfiguration: namespace,
      webhookEntries: entries,
      external: undefined,
      events: { record: (_regarding, _type, reason) => void recorded.push(reason) },
      ...(wall === undefined ? {} : { clock: { ...systemClock, wall } }),
    });
    running.push(controller);
    return controller;
  };
  const follow = (): ServingCertificate => {
    const source = {
      mode: 'self-signed',
      namespace,
      secret: brokerCertificateSecretName,
      chartValue: '',
      dnsName: `broker.${namespace}.svc`,
    } as const;
    const certificate = followServingCertificate({ client, log: silentLogger, source });
    running.push(certificate);
    return certificate;
  };
  const secret = async (name: string) => decodeSecretData(await client.call('GET', resourcePath(secrets, { namespace, name })));
  const configuration = () => client.call('GET', resourcePath(mutatingWebhookConfigurations, { name: namespace }));
  const webhooksOf = (raw: unknown): unknown[] => {
    const webhooks = at(raw, 'webhooks');
    return Array.isArray(webhooks) ? webhooks : [];
  };
  const caBundles = (raw: unknown): string[] =>
    webhooksOf(raw).map((webhook) => Buffer.from(stringAt(webhook, 'clientConfig', 'caBundle') ?? '', 'base64').toString());
  const isRegistered = (raw: unknown) => webhooksOf(raw).length === entries.length;
  const untilRegistered = () => until(mutatingWebhookConfigurations, namespace, isRegistered);
  const patchConfiguration = (...body: { op: string; path: string; value?: unknown }[]) =>
    client.call('PATCH', resourcePath(mutatingWebhookConfigurations, { name: namespace }), { contentType: jsonPatch, body });
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
    await putEndpoint(true);
    await start().whenReconciled();
    await untilRegistered();
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

  it('admits labelled pods until an endpoint of the webhook is ready', async () => {
    const create = (name: string) =>
      client.call('POST', resourcePath(pods, { namespace }), {
        body: { metadata: { name, labels: { aadpodidbinding: 'x' } }, spec: { containers: [{ name: 'app', image: 'app' }] } },
      });
    await eventually(async () => {
      const found = await client.call('GET', resourcePath({ ...pods, plural: 'serviceaccounts' }, { namespace }));
      return webhooksOf({ webhooks: at(found, 'items') }).length > 0;
    }, 'the default service account');
    await putEndpoint(false);
    await start().whenReconciled();
    assert.equal(at(await configuration(), 'webhooks'), undefined);
    await create('early');

    await putEndpoint(true);
    await untilRegistered();
    await eventually(() => recorded.includes('WebhookRegistered'), 'an Event');
    await eventually(
      () =>
        create(`refused-${Math.random().toString(36).slice(2)}`).then(
          () => false,
          (error: unknown) => /failed calling webhook "first\.aadpodidentity\.k8s\.io"/.test(String(error)),
        ),
      'labelled pods are refused while nothing answers',
    );
  });

  it('keeps and repairs entries after the last endpoint is gone', async () => {
    await putEndpoint(true);
    await start().whenReconciled();
    await untilRegistered();
    const good = webhooksOf(await configuration());
    await client.call('DELETE', resourcePath(endpointSlices, { namespace, name: 'hook-true' }));
    const aks = { key: 'kubernetes.azure.com/managedby', operator: 'NotIn', values: ['aks'] };
    await patchConfiguration(
      { op: 'replace', path: '/webhooks/0/failurePolicy', value: 'Ignore' },
      { op: 'replace', path: '/webhooks/0/clientConfig', value: { url: 'https://localhost:1/mutate' } },
      { op: 'replace', path: '/webhooks/1/rules/0/operations', value: ['UPDATE'] },
      { op: 'add', path: '/webhooks/1/namespaceSelector/matchExpressions/0', value: aks },
    );
    await until(mutatingWebhookConfigurations, namespace, (raw) => isDeepStrictEqual(webhooksOf(raw)[0], good[0]));
    const [, second] = webhooksOf(await configuration());
    assert.deepEqual(at(second, 'rules'), at(good[1], 'rules'));
    assert.ok(JSON.stringify(at(second, 'namespaceSelector')).includes(JSON.stringify(aks.key)), 'what AKS adds stays');
  });

  it('writes nothing to entries that are right, as the API server stores them', async () => {
    await putEndpoint(true);
    await start().whenReconciled();
    await untilRegistered();
    const before = stringAt(await configuration(), 'metadata', 'resourceVersion');
    await start().whenReconciled();
    assert.equal(stringAt(await configuration(), 'metadata', 'resourceVersion'), before);
  });

  it('does not make a configuration anew that somebody deletes, and says so', async () => {
    await putEndpoint(true);
    await start().whenReconciled();
    await untilRegistered();
    await client.call('DELETE', resourcePath(mutatingWebhookConfigurations, { name: namespace }));
    await eventually(() => recorded.includes('WebhookConfigurationMissing'), 'an Event');
    await assert.rejects(configuration(), isNotFound);
  });

  it('repairs the caBundle, the ConfigMap and a leaf that somebody edits or deletes', async () => {
    await putEndpoint(true);
    await start().whenReconciled();
    await untilRegistered();
    const ca = await secret(caSecretName);
    const both = `${ca['current.crt']}${ca['next.crt']}`;

    await patchConfiguration({ op: 'remove', path: '/webhooks/1/clientConfig/caBundle' });
    await until(mutatingWebhookConfigurations, namespace, (raw) => caBundles(raw).every((bundle) => bundle === both));

    await client.call('PATCH', resourcePath(configMaps, { namespace, name: caBundleConfigMapName }), {
      contentType: mergePatch,
      body: { data: { 'ca.crt': 'x' } },
    });
    await until(configMaps, caBundleConfigMapName, (raw) => at(raw, 'data', 'ca.crt') === both);

    await client.call('DELETE', resourcePath(secrets, { namespace, name: webhookCertificateSecretName }));
    await until(secrets, webhookCertificateSecretName, (raw) => decodeSecretData(raw)['tls.crt']?.startsWith('-----BEGIN') === true);
  });

  it('registers the webhook in a configuration that is created later', async () => {
    await client.call('DELETE', resourcePath(mutatingWebhookConfigurations, { name: namespace }));
    await putEndpoint(true);
    await start().whenReconciled();
    await client.call('POST', resourcePath(mutatingWebhookConfigurations), { body: { metadata: { name: namespace } } });
    await untilRegistered();
  });

  it('converges to one CA, one bundle and its leaves when two run at once', async () => {
    await putEndpoint(true);
    const both = [start(), start()];
    await Promise.all(both.map((controller) => controller.whenReconciled()));
    await untilRegistered();
    const ca = await secret(caSecretName);
    const bundle = `${ca['current.crt']}${ca['next.crt']}`;
    assert.deepEqual(caBundles(await configuration()), [bundle, bundle]);
    const leaf = new X509Certificate((await secret(brokerCertificateSecretName))['tls.crt'] ?? '');
    assert.equal(leaf.verify(new X509Certificate(ca['current.crt'] ?? '').publicKey), true);
  });

  it('renews a leaf, which followers receive and keep when the Secret is damaged', async () => {
    const now = Date.now();
    const first = start(() => now - 61 * day);
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
    await start(() => now).whenReconciled();
    await renewed;
    assert.notEqual(serving.keyPair.certificate, before.certificate);
    assert.ok(serving.keyPair.chain[0].validToDate.getTime() > now + 89 * day);
  });
});
