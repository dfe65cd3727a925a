// What the controller tells of guarded namespaces, with a real API server: Events that it takes, selectors that it understands, and the metric.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { mergePatch } from '../../../lib/kube/client.ts';
import { azurePodIdentityExceptions, namespaces, pods, resourcePath } from '../../../lib/kube/resources.ts';
import { eventually } from '../../harness/wait.ts';
import type { Harness } from './harness/harness.ts';
import { startHarness } from './harness/harness.ts';

const guard = 'aadpodidentity.k8s.io/guard';
const marker = 'aadpodidentity.k8s.io/injected';
const selector = JSON.stringify({ matchLabels: { [guard]: 'enabled' } });

describe('a guarded namespace', () => {
  let harness: Harness;

  /** Retries until the namespace has its service account. */
  const createPod = (namespace: string, name: string, labels: Record<string, string>, spec: object = {}) =>
    eventually(async () => {
      const body = {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name, labels },
        spec: { containers: [{ name: 'app', image: 'app' }], ...spec },
      };
      return harness.client.call('POST', resourcePath(pods, { namespace }), { body }).then(
        () => true,
        (error: unknown) => assert.match(String(error), /service account|serviceaccount/) ?? false,
      );
    }, `pod ${namespace}/${name} is made`);
  const createNamespace = async (name: string, labels: Record<string, string>) => {
    await harness.createNamespace(name);
    await harness.client.call('PATCH', resourcePath(namespaces, { name }), { contentType: mergePatch, body: { metadata: { labels } } });
  };

  before(async () => {
    harness = await startHarness();
    await createNamespace('team', { [guard]: 'enabled' });
    await createNamespace('open', {});
    await createNamespace('misspelt', { [guard]: 'true' });
    await createNamespace('locked', { [guard]: 'enabled', 'pod-security.kubernetes.io/enforce': 'restricted' });
    await createPod('team', 'old', { app: 'x' });
    await createPod('team', 'liar', { [marker]: 'redirect' });
    await createPod('team', 'guarded', { [marker]: 'guard' });
    await createPod('team', 'redirected', { [marker]: 'redirect', aadpodidbinding: 'x' });
    await createPod('team', 'host', {}, { hostNetwork: true });
    await createPod('open', 'free', {});
  });
  after(() => harness?.stop());

  it('gets an Event that names its pods without a guard, and a metric', async () => {
    const controller = await harness.startController([`--guard-namespace-selector=${selector}`]);
    const { metrics } = await controller.logged((record) => record.msg === 'started');
    await harness.untilEvent('Namespace', 'team', /^UnguardedPods: 2 pods of this guarded namespace can reach IMDS: old, liar\. /);
    // The metric follows when all namespaces are counted.
    await eventually(async () => {
      const text = await (await fetch(`http://127.0.0.1:${String(metrics)}/metrics`)).text();
      const lines = ['locked"} 0', 'team"} 2'].map((end) => `aadpodidentity_unguarded_pods{namespace="${end}`);
      return text.match(/^aadpodidentity_unguarded_pods.*$/gm)?.join('\n') === lines.join('\n');
    }, 'the metric counts two pods in one of two guarded namespaces');
  });

  it('gets an Event where its label or its pod security keeps the guard from working', async () => {
    await harness.untilEvent(
      'Namespace',
      'misspelt',
      /^GuardMisconfigured: label \S+ is 'true', which guards nothing: accepted is enabled/,
    );
    await harness.untilEvent('Namespace', 'locked', /^GuardMisconfigured: .*pod security restricted.*NET_ADMIN.*federated/);
  });

  it('is not needed for the Events about an exception that comes after its pod', async () => {
    await harness.createPod('web', 'x');
    await harness.client.call('POST', resourcePath(azurePodIdentityExceptions, { namespace: 'default' }), {
      body: {
        apiVersion: 'aadpodidentity.k8s.io/v1',
        kind: 'AzurePodIdentityException',
        metadata: { name: 'late' },
        spec: { podLabels: { aadpodidbinding: 'x' } },
      },
    });
    await harness.untilEvent('Pod', 'web', /^RuntimeException: AzurePodIdentityException late applies to this pod/);
    await harness.untilEvent('AzurePodIdentityException', 'late', /^RuntimeException: .* such as web: there the token proxy passes/);
  });
});
