// The webhook's Deployment in the real cluster: once it is ready it injects the first pod, and a rolling restart refuses none.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { KubeClient } from '../../lib/kube/client.ts';
import { connect } from '../../lib/kube/client.ts';
import { at, stringAt } from '../../lib/kube/objects.ts';
import { pods, resourcePath } from '../../lib/kube/resources.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { up } from '../cluster/cluster.ts';
import { currentImages } from '../cluster/images.ts';
import { azureState, providerID } from '../demo/azure.ts';
import { chartValues } from '../demo/chart-values.ts';

const chart = path.resolve(import.meta.dirname, '../../charts/aad-pod-identity-webhook');
const log = (line: string) => console.log(line);

describe('the webhook as the chart runs it', () => {
  let cluster: Cluster;
  let client: KubeClient;

  before(async () => {
    const images = await currentImages(log);
    cluster = await up({ name: 'e2e-rollout', log, images: Object.values(images), providerID, azureState: azureState(0) });
    client = connect({ kubeconfig: cluster.kubeconfig, userAgent: 'test', qps: 10_000 });
    const values = path.join(cluster.folder, 'values.json');
    writeFileSync(values, chartValues(cluster, images), { mode: 0o600 });
    const { code, stderr } = await cluster.helm(['install', 'webhook', chart, '-n', 'default', '-f', values, '--wait', '--timeout', '3m']);
    assert.equal(code, 0, stderr);
  });
  after(async () => {
    await client?.close();
    await cluster?.down();
  });

  /** A pod that is admitted like any other but never placed on a node. */
  const create = (name: string) =>
    client.call('POST', resourcePath(pods, { namespace: 'default' }), {
      body: {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name, labels: { aadpodidbinding: 'reader', test: 'rollout' } },
        spec: { schedulingGates: [{ name: 'test.local/never' }], containers: [{ name: 'app', image: 'app:1' }] },
      },
    });
  const firstContainer = (pod: unknown) => {
    const list = at(pod, 'spec', 'initContainers');
    return Array.isArray(list) ? stringAt(list[0], 'name') : undefined;
  };

  it('injects the first pod after helm install --wait', async () => {
    assert.equal(firstContainer(await create('first')), 'aad-pod-identity-init');
  });

  it('shows with the Service that the webhook is registered', async () => {
    const { stdout } = await cluster.kubectl(['describe', 'service', 'aad-pod-identity-webhook', '-n', 'default']);
    assert.match(stdout, /Normal +WebhookRegistered .* the API server calls the webhook from now on/);
  });

  it('refuses none of 2 000 pods during a rolling restart of both replicas', async () => {
    const failures: string[] = [];
    let made = 0;
    let rolling = true;
    const createMany = async (lane: number) => {
      for (let index = 0; made < 2_000 || rolling; index += 1) {
        try {
          if (firstContainer(await create(`p-${lane}-${index}`)) !== 'aad-pod-identity-init')
            failures.push(`p-${lane}-${index} is not injected`);
          made += 1;
        } catch (error) {
          failures.push(String(error));
        }
      }
    };
    const lanes = Array.from({ length: 8 }, (_, lane) => createMany(lane));
    const deployment = 'deployment/aad-pod-identity-webhook';
    const selector = ['-l', 'app.kubernetes.io/component=webhook', '-n', 'default'];
    const old = (await cluster.kubectl(['get', 'pods', ...selector, '-o', 'name'])).stdout.trim().split('\n');
    assert.equal(old.length, 2);
    const restarted = await cluster.kubectl(['rollout', 'restart', deployment, '-n', 'default']);
    assert.equal(restarted.code, 0, restarted.stderr);
    const rolled = await cluster.kubectl(['rollout', 'status', deployment, '-n', 'default', '--timeout=180s']);
    // The old replicas answer for a while longer; this test is about their last moments.
    const gone = await cluster.kubectl(['wait', '--for=delete', ...old, '-n', 'default', '--timeout=120s']);
    rolling = false;
    await Promise.all(lanes);
    assert.deepEqual([rolled.code, gone.code], [0, 0], rolled.stderr + gone.stderr);
    assert.ok(made >= 2_000);
    assert.deepEqual(failures, []);
  });
});
