// Real parts for the tests of the webhook: an API server with the chart installed, certificates as the controller issues them, and the webhook as
// a process.
import { randomBytes } from 'node:crypto';
import {
  bindingLabel,
  caBundleConfigMapName,
  caBundleKey,
  initContainerName,
  webhookCertificateSecretName,
  webhookConfigurationName,
} from '../../../api/names.ts';
import type { KubeClient } from '../../../lib/kube/client.ts';
import { connect, mergePatch } from '../../../lib/kube/client.ts';
import { isNotFound } from '../../../lib/kube/errors.ts';
import { configMaps, mutatingWebhookConfigurations, namespaces, pods, resourcePath, secrets } from '../../../lib/kube/resources.ts';
import { generateKey, issueAuthority, issueLeaf } from '../../../lib/tls/issue.ts';
import type { KeyPair } from '../../../lib/tls/key-pair.ts';
import { chart, required } from '../../chart/render.ts';
import { findHelm } from '../../cluster/binaries.ts';
import type { ControlPlane } from '../../cluster/control-plane.ts';
import type { Result } from '../../cluster/run.ts';
import { mustRun, run } from '../../cluster/run.ts';
import { programFile } from '../../harness/bundles.ts';
import { leaseControlPlane } from '../../harness/control-plane.ts';
import type { NodeProgram } from '../../harness/program.ts';
import { eventually } from '../../harness/wait.ts';
import { entriesOfChart } from '../chart/installed.ts';
import type { WebhookProcess } from './webhook-process.ts';
import { startWebhookProcess } from './webhook-process.ts';

/** Not `default`, so that nothing works only in the default namespace. */
export const releaseNamespace = 'identity-system';

export async function issueFor(names: readonly string[], authority?: KeyPair): Promise<{ ca: KeyPair; leaf: KeyPair }> {
  const context = async () => ({ now: new Date(), key: await generateKey(), serial: randomBytes(16) });
  const ca = authority ?? issueAuthority(await context());
  return { ca, leaf: issueLeaf(ca, names, await context()) };
}

export interface Harness {
  plane: ControlPlane;
  client: KubeClient;
  ca: KeyPair;
  kubectl(args: readonly string[], manifest?: unknown): Promise<Result>;
  publishLeaf(leaf: KeyPair): Promise<void>;
  publishBundle(pem: string): Promise<void>;
  /** Points the chart's configuration at a process outside the cluster. */
  register(port: number, caBundle?: string): Promise<void>;
  startWebhook(flags?: readonly string[]): Promise<WebhookProcess>;
  /** Starts a webhook, by default from the bundle of the tests, registers it and waits until it is ready. */
  startRegistered(flags?: readonly string[], program?: NodeProgram): Promise<WebhookProcess>;
  /** In a namespace that was created just before, without a wait for anything but its service account. */
  createPodInNew(namespace: string, body: object): Promise<void>;
  createNamespace(name: string, metadata?: { labels?: Record<string, string>; annotations?: Record<string, string> }): Promise<void>;
  stop(): Promise<void>;
}

/** No webhook runs yet. `set`: values of the chart. */
export async function startHarness(
  options: { apiServerFlags?: Record<string, string>; apiServer?: string; set?: string } = {},
): Promise<Harness> {
  const plane = await leaseControlPlane(options);
  const client = connect({ kubeconfig: plane.kubeconfig, userAgent: 'test', qps: 2_000 });
  const started = new Set<WebhookProcess>();
  const start = async (flags: readonly string[], program: NodeProgram = {}) => {
    const file = program.file ?? (await programFile('webhook'));
    const webhook = await startWebhookProcess({ plane, client, namespace: releaseNamespace, flags, ...program, file });
    started.add(webhook);
    return webhook;
  };
  const harness: Harness = {
    plane,
    client,
    ca: { key: '', certificate: '' },
    ...certificatesOf(client),
    kubectl: (args, manifest) =>
      run(plane.kubectl, manifest === undefined ? args : [...args, '-f', '-'], {
        env: { KUBECONFIG: plane.kubeconfig },
        ...(manifest === undefined ? {} : { input: JSON.stringify(manifest) }),
        timeoutSeconds: 60,
      }),
    register: (port, caBundle = harness.ca.certificate) => register(client, port, caBundle),
    startWebhook: (flags = []) => start(flags),
    async startRegistered(flags = [], program) {
      const webhook = await start(flags, program);
      await register(client, webhook.port, harness.ca.certificate);
      await eventually(async () => (await webhook.readyz()).status === 200, 'the webhook is ready');
      await eventually(() => isInjecting(client), 'the API server calls the webhook');
      return webhook;
    },
    createPodInNew: (namespace, body) => createPodInNew(client, namespace, body),
    createNamespace: (name, metadata) => createNamespace(client, name, metadata),
    async stop() {
      await Promise.all([...started].map((webhook) => webhook.stop()));
      await client.close();
      await plane.stop();
    },
  };
  try {
    await installChart(plane, options.set);
    const { ca, leaf } = await issueFor(['localhost']);
    harness.ca = ca;
    await harness.publishLeaf(leaf);
    await harness.publishBundle(ca.certificate);
    return harness;
  } catch (error) {
    await harness.stop();
    throw error;
  }
}

async function installChart(plane: ControlPlane, set?: string): Promise<void> {
  const helm = await findHelm(() => undefined);
  const args = ['install', 'webhook', chart, '-n', releaseNamespace, '--create-namespace', ...required];
  await mustRun(helm, set === undefined ? args : [...args, '--set', set], {
    env: { KUBECONFIG: plane.kubeconfig },
    timeoutSeconds: 120,
  });
}

function certificatesOf(client: KubeClient): Pick<Harness, 'publishLeaf' | 'publishBundle'> {
  return {
    publishLeaf: (leaf) =>
      put(client, resourcePath(secrets, { namespace: releaseNamespace }), {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name: webhookCertificateSecretName },
        type: 'kubernetes.io/tls',
        data: { 'tls.crt': base64(leaf.certificate), 'tls.key': base64(leaf.key) },
      }),
    publishBundle: (pem) =>
      put(client, resourcePath(configMaps, { namespace: releaseNamespace }), {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: caBundleConfigMapName },
        data: { [caBundleKey]: pem },
      }),
  };
}

/** Writes the entries that the chart gives the controller, which does not run here, with an address outside of the cluster. */
async function register(client: KubeClient, port: number, caBundle: string): Promise<void> {
  const webhooks = (await entriesOfChart(client, releaseNamespace)).map((entry) => {
    const { path } = entry.clientConfig.service;
    return { ...entry, clientConfig: { url: `https://localhost:${port}${path}`, caBundle: base64(caBundle) } };
  });
  await client.call('PATCH', resourcePath(mutatingWebhookConfigurations, { name: webhookConfigurationName }), {
    contentType: mergePatch,
    body: { webhooks },
  });
}

/** The API server follows its configurations with a delay. */
async function isInjecting(client: KubeClient): Promise<boolean> {
  const spec = { containers: [{ name: 'app', image: 'app' }] };
  const body = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'probe', labels: { [bindingLabel]: 'x' } }, spec };
  try {
    const made = await client.call('POST', resourcePath(pods, { namespace: 'default' }), { body, query: { dryRun: 'All' } });
    return JSON.stringify(made).includes(initContainerName);
  } catch {
    return false;
  }
}

async function createPodInNew(client: KubeClient, namespace: string, body: object): Promise<void> {
  await eventually(
    () =>
      client.call('POST', resourcePath(pods, { namespace }), { body }).then(
        () => true,
        (error: unknown) => {
          // The service account may come later than the namespace; every other error is a failure.
          if (String(error).includes('serviceaccount')) return false;
          throw error;
        },
      ),
    'the pod is created',
  );
}

async function createNamespace(client: KubeClient, name: string, metadata: object = {}): Promise<void> {
  await client.call('POST', resourcePath(namespaces), {
    body: { apiVersion: 'v1', kind: 'Namespace', metadata: { name, ...metadata } },
  });
  // A pod needs the default service account of its namespace.
  await eventually(() => exists(client, `/api/v1/namespaces/${name}/serviceaccounts/default`), `service account of ${name}`);
}

/** Creates or overwrites. */
async function put(client: KubeClient, collection: string, body: { metadata: { name: string }; [field: string]: unknown }): Promise<void> {
  const path = `${collection}/${body.metadata.name}`;
  await ((await exists(client, path))
    ? client.call('PATCH', path, { body, contentType: mergePatch })
    : client.call('POST', collection, { body }));
}

async function exists(client: KubeClient, path: string): Promise<boolean> {
  try {
    await client.call('GET', path);
    return true;
  } catch (error) {
    if (isNotFound(error)) return false;
    throw error;
  }
}

export const base64 = (text: string): string => Buffer.from(text).toString('base64');
