// The chart's objects in a real API server, our program as a process with the rights of the chart's ServiceAccount, reached by `url`.
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import {
  caBundleConfigMapName,
  caBundleKey,
  webhookCertificateSecretName,
  webhookConfigurationName,
  webhookServiceName,
} from '../../../api/names.ts';
import type { KeyAndCertificate } from '../../../controller/certificates/issue.ts';
import { generateKey, issueAuthority, issueLeaf } from '../../../controller/certificates/issue.ts';
import type { KubeClient } from '../../../lib/kube/client.ts';
import { connect, jsonPatch, mergePatch } from '../../../lib/kube/client.ts';
import { isNotFound } from '../../../lib/kube/errors.ts';
import { isRecord, stringAt } from '../../../lib/kube/objects.ts';
import { configMaps, mutatingWebhookConfigurations, namespaces, resourcePath, secrets } from '../../../lib/kube/resources.ts';
import { renderKubeconfig } from '../../cluster/access.ts';
import { findHelm } from '../../cluster/binaries.ts';
import type { ControlPlane } from '../../cluster/control-plane.ts';
import { startControlPlane } from '../../cluster/control-plane.ts';
import type { Result } from '../../cluster/run.ts';
import { mustRun, run } from '../../cluster/run.ts';

const root = path.resolve(import.meta.dirname, '../../..');
/** Not `default`, so that nothing works only because it is. */
export const releaseNamespace = 'identity-system';

export async function issueFor(
  names: readonly string[],
  authority?: KeyAndCertificate,
): Promise<{ ca: KeyAndCertificate; leaf: KeyAndCertificate }> {
  const context = async () => ({ now: new Date(), key: await generateKey(), serial: randomBytes(16) });
  const ca = authority ?? issueAuthority(await context());
  return { ca, leaf: issueLeaf(ca, names, await context()) };
}

export interface Stage {
  plane: ControlPlane;
  client: KubeClient;
  ca: KeyAndCertificate;
  kubectl(args: readonly string[], manifest?: unknown): Promise<Result>;
  publishLeaf(leaf: KeyAndCertificate): Promise<void>;
  publishBundle(pem: string): Promise<void>;
  /** Points the chart's configuration at a process outside the cluster. */
  register(port: number, caBundle?: string): Promise<void>;
  /** From the sources unless a bundle is given. */
  startWebhook(flags?: readonly string[], program?: string): Promise<WebhookProcess>;
  makeNamespace(name: string, metadata?: { labels?: Record<string, string>; annotations?: Record<string, string> }): Promise<void>;
  stop(): Promise<void>;
}

/** A control plane with the chart installed and certificates as the controller would make them; no webhook runs yet. */
export async function setStage(options: { apiServerFlags?: Record<string, string> } = {}): Promise<Stage> {
  const plane = await startControlPlane(options);
  const client = connect({ kubeconfig: plane.kubeconfig, userAgent: 'test', qps: 2_000 });
  const processes = new Set<WebhookProcess>();
  const stage: Stage = {
    plane,
    client,
    ca: { key: '', certificate: '' },
    kubectl: (args, manifest) =>
      run(plane.kubectl, manifest === undefined ? args : [...args, '-f', '-'], {
        env: { KUBECONFIG: plane.kubeconfig },
        ...(manifest === undefined ? {} : { input: JSON.stringify(manifest) }),
        timeoutSeconds: 60,
      }),
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
    async register(port, caBundle = stage.ca.certificate) {
      const clientConfig = { url: `https://localhost:${port}/mutate`, caBundle: base64(caBundle) };
      await client.call('PATCH', resourcePath(mutatingWebhookConfigurations, { name: webhookConfigurationName }), {
        contentType: jsonPatch,
        body: [{ op: 'replace', path: '/webhooks/0/clientConfig', value: clientConfig }],
      });
    },
    async startWebhook(flags = [], program = path.join(root, 'webhook/main.ts')) {
      const started = await startWebhook(plane, client, flags, program);
      processes.add(started);
      return started;
    },
    makeNamespace: async (name, metadata = {}) => {
      await client.call('POST', resourcePath(namespaces), {
        body: { apiVersion: 'v1', kind: 'Namespace', metadata: { name, ...metadata } },
      });
      // A pod needs its namespace's default service account.
      await until(() =>
        client.call('GET', `/api/v1/namespaces/${name}/serviceaccounts/default`).then(
          () => true,
          (error: unknown) => {
            if (isNotFound(error)) return false;
            throw error;
          },
        ),
      );
    },
    async stop() {
      await Promise.all([...processes].map((one) => one.stop()));
      await client.close();
      await plane.stop();
    },
  };
  try {
    const helm = await findHelm(() => undefined);
    const chart = path.join(root, 'charts/aad-pod-identity-webhook');
    await mustRun(helm, ['install', 'webhook', chart, '-n', releaseNamespace, '--create-namespace'], {
      env: { KUBECONFIG: plane.kubeconfig },
      timeoutSeconds: 120,
    });
    const { ca, leaf } = await issueFor(['localhost']);
    stage.ca = ca;
    await stage.publishLeaf(leaf);
    await stage.publishBundle(ca.certificate);
    return stage;
  } catch (error) {
    await stage.stop();
    throw error;
  }
}

export const base64 = (text: string): string => Buffer.from(text).toString('base64');

/** Creates or overwrites. */
async function put(client: KubeClient, collection: string, body: { metadata: { name: string }; [field: string]: unknown }): Promise<void> {
  const path = `${collection}/${body.metadata.name}`;
  const exists = await client.call('GET', path).then(
    () => true,
    (error: unknown) => {
      if (isNotFound(error)) return false;
      throw error;
    },
  );
  await (exists ? client.call('PATCH', path, { body, contentType: mergePatch }) : client.call('POST', collection, { body }));
}

/** For what no event tells. */
export async function until(fits: () => Promise<boolean> | boolean, what = 'what the test waits for'): Promise<void> {
  const end = performance.now() + 30_000;
  while (!(await fits())) {
    if (performance.now() > end) throw new Error(`${what} did not come true in 30 s`);
    await delay(20);
  }
}

export interface WebhookProcess {
  readonly port: number;
  readonly pid: number;
  readonly log: readonly Record<string, unknown>[];
  readyz(): Promise<{ status: number; text: string }>;
  metrics(): Promise<string>;
  /** The first record, past or to come, that fits. */
  logged(fits: (record: Record<string, unknown>) => boolean): Promise<Record<string, unknown>>;
  /** SIGTERM; resolves with the exit code. */
  stop(): Promise<number | null>;
}

async function startWebhook(plane: ControlPlane, client: KubeClient, flags: readonly string[], program: string): Promise<WebhookProcess> {
  const account = `/api/v1/namespaces/${releaseNamespace}/serviceaccounts/${webhookServiceName}/token`;
  const answer = await client.call('POST', account, { body: { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {} } });
  const token = stringAt(answer, 'status', 'token') ?? '';
  const kubeconfig = path.join(plane.folder, `webhook-${randomBytes(4).toString('hex')}.json`);
  writeFileSync(kubeconfig, renderKubeconfig(plane.url, plane.ca, { name: 'webhook', groups: [], token }), { mode: 0o600 });
  const any = ['admission', 'probes', 'metrics'].map((name) => `--${name}-listen=127.0.0.1:0`);
  // The kernel ends it with the test, so that a killed test leaves none behind.
  const child = spawn(
    'setpriv',
    [
      '--pdeathsig',
      'KILL',
      process.execPath,
      program,
      `--kubeconfig=${kubeconfig}`,
      `--namespace=${releaseNamespace}`,
      '--sidecar-image=sidecar:test',
      '--drain-delay=0',
      ...any,
      ...flags,
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const log: Record<string, unknown>[] = [];
  const watchers = new Set<(record: Record<string, unknown> | undefined) => void>();
  createInterface({ input: child.stdout }).on('line', (line) => {
    const record: unknown = JSON.parse(line);
    if (!isRecord(record)) return;
    log.push(record);
    for (const watcher of watchers) watcher(record);
  });
  const ended = once(child, 'close').then(() => {
    for (const watcher of watchers) watcher(undefined);
  });
  const logged: WebhookProcess['logged'] = (fits) => {
    const past = log.find(fits);
    if (past !== undefined) return Promise.resolve(past);
    return new Promise((resolve, reject) => {
      const watcher = (record: Record<string, unknown> | undefined) => {
        if (record !== undefined && !fits(record)) return;
        watchers.delete(watcher);
        if (record === undefined) reject(new Error(`the webhook ended without that line; it said ${JSON.stringify(log).slice(-2000)}`));
        else resolve(record);
      };
      watchers.add(watcher);
    });
  };
  const ports = await logged((record) => record.msg === 'listening');
  const get = async (port: unknown, at: string) => {
    const response = await fetch(`http://127.0.0.1:${String(port)}${at}`);
    return { status: response.status, text: await response.text() };
  };
  return {
    port: Number(ports.admissionPort),
    pid: child.pid ?? 0,
    log,
    logged,
    readyz: () => get(ports.probesPort, '/readyz'),
    metrics: async () => (await get(ports.metricsPort, '/metrics')).text,
    async stop() {
      child.kill('SIGTERM');
      await ended;
      return child.exitCode;
    },
  };
}
