// Breaks what lies between a new pod and its token proxy, and expects that the plugin names it. API server, controllers of Kubernetes, policies of the
// chart and the webhook are real.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import type { Server } from 'node:https';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { webhookServiceName } from '../../../api/names.ts';
import type { Code } from '../../../cli/codes.ts';
import { pods, resourcePath } from '../../../lib/kube/resources.ts';
import { dayMs, generateKey, issueLeaf } from '../../../lib/tls/issue.ts';
import { createEndpointSlice } from '../../harness/endpoint-slice.ts';
import { eventually } from '../../harness/wait.ts';
import type { Harness } from '../webhook/harness.ts';
import { issueFor, releaseNamespace, startHarness } from '../webhook/harness.ts';
import type { WebhookProcess } from '../webhook/webhook-process.ts';
import type { Report } from './plugin.ts';
import { brokenOf, reportOf, runPlugin } from './plugin.ts';

const guard = { 'aadpodidentity.k8s.io/guard': 'enabled' };
const labels = { aadpodidbinding: 'reader' };
const spec = { containers: [{ name: 'app', image: 'app' }] };

let harness: Harness;
let webhook: WebhookProcess;
let expired: Server;

/** Until the plugin says so: the API server follows its configuration, and the controllers of Kubernetes their objects, with a delay. */
async function untilFirstBroken(code: Code | null, ...args: string[]): Promise<Report> {
  let report: Report | undefined;
  try {
    await eventually(async () => {
      report = await reportOf(harness.plane.kubeconfig, ...args);
      return report.firstBroken === code;
    }, `the first broken link is ${code}`);
  } catch (error) {
    throw new Error(JSON.stringify(report), { cause: error });
  }
  return report ?? assert.fail();
}

interface PodParts {
  namespace?: string;
  labels?: Record<string, string>;
  spec?: object;
}

/** Its controller tries to make a pod at once, and its Event has the refusal. */
async function createReplicaSet(name: string, { namespace = 'default', labels: own = labels, spec: further = {} }: PodParts = {}) {
  const template = { metadata: { labels: { app: name, ...own } }, spec: { ...spec, ...further } };
  const body = {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata: { name },
    spec: { selector: { matchLabels: { app: name } }, template },
  };
  await harness.client.call('POST', `/apis/apps/v1/namespaces/${namespace}/replicasets`, { body });
}

/** A server in place of the webhook, which would not begin to serve with such a certificate. */
async function serveExpired(): Promise<Server> {
  const context = { now: new Date(Date.now() - 200 * dayMs), key: await generateKey(), serial: randomBytes(16) };
  const { key, certificate: cert } = issueLeaf(harness.ca, ['localhost'], context);
  const server = createServer({ key, cert });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

before(async () => {
  harness = await startHarness({ set: 'guard.enabled=true' });
  const metadata = { name: 'old', labels };
  await harness.client.call('POST', resourcePath(pods, { namespace: 'default' }), {
    body: { apiVersion: 'v1', kind: 'Pod', metadata, spec },
  });
  // The process has no pod that the Service would select.
  await createEndpointSlice(harness.client, { namespace: releaseNamespace, name: 'webhook', service: webhookServiceName });
  expired = await serveExpired();
});
after(async () => {
  expired?.close();
  await harness?.stop();
});

describe('check pod', () => {
  it('names WebhookNotRegistered before a webhook serves', async () => {
    brokenOf(await untilFirstBroken('WebhookNotRegistered', 'check', 'pod', 'old'));
  });

  it('names OlderThanInstall for a pod from before the webhook', async () => {
    webhook = await harness.startRegistered([`--guard-namespace-selector=${JSON.stringify({ matchLabels: guard })}`]);
    assert.equal(brokenOf(await untilFirstBroken('OlderThanInstall', 'check', 'pod', 'old')).command, 'kubectl delete pod old -n default');
  });

  it('names RefusedByGuard for pods that the guard of their namespace denies', async () => {
    await harness.createNamespace('guarded', { labels: guard });
    await createReplicaSet('powerful', { namespace: 'guarded', spec: { hostPID: true } });
    const { message } = brokenOf(await untilFirstBroken('RefusedByGuard', 'check', 'pod', 'powerful', '-n', 'guarded'));
    assert.match(message, /remove hostPID or use another namespace/);
  });

  it('names RefusedByPolicy for pods with a forged marker', async () => {
    await createReplicaSet('forged', { labels: { 'aadpodidentity.k8s.io/injected': 'redirect' } });
    assert.match(brokenOf(await untilFirstBroken('RefusedByPolicy', 'check', 'pod', 'forged')).message, /aad-pod-identity/);
  });

  it('names CaBundleWrong for another caBundle, as check does', async () => {
    await harness.register(webhook.port, (await issueFor(['localhost'])).ca.certificate);
    await createReplicaSet('distrusted');
    for (const args of [['pod', 'old'], ['pod', 'distrusted'], []])
      assert.match(brokenOf(await untilFirstBroken('CaBundleWrong', 'check', ...args)).message, /x509|has no CA of this release/);
  });

  it('names CertificateExpired for a certificate that has ended, as check does', async () => {
    await harness.register((expired.address() as AddressInfo).port);
    await createReplicaSet('expired');
    for (const args of [['pod', 'old'], ['pod', 'expired'], []])
      assert.match(brokenOf(await untilFirstBroken('CertificateExpired', 'check', ...args)).message, /certificate has expired/);
  });

  it('names WebhookDown where nothing listens, as check does by its replicas', async () => {
    await webhook.stop();
    await harness.register(webhook.port);
    await createReplicaSet('down');
    for (const name of ['old', 'down'])
      assert.match(brokenOf(await untilFirstBroken('WebhookDown', 'check', 'pod', name)).message, /connection refused/);
    brokenOf(await untilFirstBroken('WebhookBlocked', 'check'));
    await harness.client.call('DELETE', `/apis/discovery.k8s.io/v1/namespaces/${releaseNamespace}/endpointslices/webhook`);
    brokenOf(await untilFirstBroken('WebhookDown', 'check'));
  });

  it('prints what to do and what to type, and ends with code 1', async () => {
    const { code, stdout } = await runPlugin(harness.plane.kubeconfig, ['check', 'pod', 'old']);
    assert.equal(code, 1);
    assert.match(stdout, /First broken link: WebhookDown\n {2}Mend the webhook first\.\n {2}\$ kubectl aad-pod-identity check\n/);
  });
});
