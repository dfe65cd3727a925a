// Pods are created and ask for tokens while the programs restart, and while a pod without any right floods the webhook and the broker.
import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import * as esbuild from 'esbuild';
import { brokerAudience, leaderLeaseName } from '../../api/names.ts';
import type { KubeClient } from '../../lib/kube/client.ts';
import { connect } from '../../lib/kube/client.ts';
import { at, stringAt } from '../../lib/kube/objects.ts';
import { pods, resourcePath } from '../../lib/kube/resources.ts';
import { processesInPod } from '../cluster/procfs.ts';
import { missingForCluster } from '../cluster/requirements.ts';
import { controllerSignIn, identities } from '../demo/azure.ts';
import { identity, pod, podTemplate } from './fixtures.ts';
import type { FloodCounts, FloodOptions } from './flood.ts';
import type { Product } from './harness.ts';
import { imds, peakResidentOf, startProduct, system } from './harness.ts';

const missing = await missingForCluster();
const skip = missing.length > 0 ? `the cluster needs ${missing.join('; ')}` : false;
const log = (line: string) => console.log(line);
/** All connections of the floods are open after 15 s. The rest is longer than a Lease. */
const seconds = 40;

interface Program {
  pod: string;
  restarts: number;
  /** MiB. */
  peak: number;
  limit: number;
}

describe('the product under load', { skip }, () => {
  let product: Product;
  let client: KubeClient;
  let firstIsInjected: boolean;
  const during = {
    created: [] as number[],
    refused: [] as string[],
    tokens: [] as string[],
    started: [] as unknown[],
    floods: {} as Record<FloodOptions['kinds'][number], FloodCounts>,
  };
  const seen = { before: [] as Program[], after: [] as Program[], leaders: [] as string[] };

  before(async () => {
    product = await startProduct('e2e-load', log);
    client = connect({ kubeconfig: product.cluster.kubeconfig, userAgent: 'test', qps: 10_000 });
    await product.helm('install', '--set', 'rbac.allowAccessToSecrets=true');
    firstIsInjected = await createPod('first');
    await product.apply(...identity('demo', 'imds'), ...principal());
    await product.apply(
      pod('imds', podTemplate(product.cluster.appImage, 'imds')),
      pod('principal', podTemplate(product.cluster.appImage, 'principal')),
      pod('polls', podTemplate(product.cluster.appImage, 'imds')),
      { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'flood' } },
      floodPod(product.images.controlPlane.reference),
    );
    await product.ready('pod/imds', 'pod/principal', 'pod/polls');
    await product.ready('pod/flood', '-n', 'flood');
    assert.equal(await product.appOf('principal'), controllerSignIn.clientID);
  });
  after(async () => {
    await client?.close();
    await product?.cluster.down();
  });

  async function flood(): Promise<void> {
    const script = await bundled();
    const run = async (options: FloodOptions) => {
      const command = ['exec', '-i', '-n', 'flood', 'flood', '--', 'node', '-', JSON.stringify(options)];
      const { stdout, stderr } = await product.cluster.kubectl(command, { input: script, timeoutSeconds: seconds + 60 });
      log(stdout + stderr);
      Object.assign(during.floods, JSON.parse(stdout));
    };
    const uid = stringAt(await product.json(['get', 'pod', 'polls']), 'metadata', 'uid') ?? '';
    const bound = ['--bound-object-kind', 'Pod', '--bound-object-name', 'polls', '--bound-object-uid', uid];
    const token = (await product.kubectl(['create', 'token', 'default', '--audience', brokerAudience, ...bound])).trim();

    seen.before = await programs();
    seen.leaders.push(await leader());
    const toBroker = ['silentHandshakes', 'silentTcp', 'polls', 'forgedTokens'] as const;
    await Promise.all([
      run({ seconds, kinds: ['halfSentBodies'], targets: await addressesOf('webhook') }),
      run({ seconds, kinds: [...toBroker], targets: await addressesOf('broker'), token }),
      createPods(),
      fetchTokens('imds', 1),
      fetchTokens('principal', 3),
      startPods(),
    ]);
    seen.after = await programs();
    seen.leaders.push(await leader());
    log(JSON.stringify(seen.after));
  }

  /** A pod that is admitted like any other but never placed on a node. Returns whether it is injected. */
  async function createPod(name: string): Promise<boolean> {
    const body = pod(name, podTemplate('app:1', 'imds', { spec: { schedulingGates: [{ name: 'test.local/never' }] } }));
    const made = await client.call('POST', resourcePath(pods, { namespace: 'default' }), { body });
    return stringAt(first(at(made, 'spec', 'initContainers')), 'name') === 'aad-pod-identity-init';
  }

  /** One each 200 ms, whatever becomes of those before. */
  async function createPods(): Promise<void> {
    const create = async (name: string) => {
      const began = performance.now();
      const isInjected = await createPod(name);
      during.created.push(performance.now() - began);
      assert.ok(isInjected, `${name} is injected`);
    };
    const all: Promise<void>[] = [];
    for (let index = 0; index < seconds * 5; index += 1, await delay(200))
      all.push(create(`gated-${index}`).catch((error: unknown) => void during.refused.push(String(error))));
    await Promise.all(all);
    log(`${during.created.length} pods created, the slowest in ${Math.max(...during.created).toFixed(0)} ms`);
  }

  /** In the pod, each for a resource that nothing has cached. */
  async function fetchTokens(name: string, everySeconds: number): Promise<void> {
    const token = `curl -s -m 30 -o /dev/null -w '%{http_code} %{time_total}\\n' -H Metadata:true "${imds}https://fresh-$n.example"`;
    const loop = `for n in $(seq ${seconds / everySeconds}); do ${token}; sleep ${everySeconds}; done`;
    const lines = (await product.cluster.kubectl(['exec', name, '-c', 'app', '--', 'sh', '-c', loop])).stdout.trim().split('\n');
    log(`${lines.length} tokens in ${name}, the slowest in ${Math.max(...lines.map((line) => Number(line.split(' ')[1])))} s`);
    during.tokens.push(...lines);
  }

  async function startPods(): Promise<void> {
    const start = async (name: string) => {
      await product.apply(pod(name, podTemplate(product.cluster.appImage, 'imds')));
      await product.ready(`pod/${name}`);
      return product.appOf(name);
    };
    for (const name of ['early', 'middle', 'late']) {
      await delay((seconds / 4) * 1000);
      during.started.push(await start(name).catch(String));
    }
  }

  const items = async (...args: string[]): Promise<unknown[]> => {
    const list = at(await product.json(['get', ...args]), 'items');
    return Array.isArray(list) ? list : [];
  };
  const addressesOf = async (component: string) =>
    (await items('pods', '-n', system, '-l', `app.kubernetes.io/component=${component}`)).map(
      (each) => `${stringAt(each, 'status', 'podIP')}:9443`,
    );
  const leader = async () => {
    const spec = at(await product.json(['get', 'lease', leaderLeaseName, '-n', system]), 'spec');
    return `${stringAt(spec, 'holderIdentity')}, transition ${String(at(spec, 'leaseTransitions'))}`;
  };
  const programs = async (): Promise<Program[]> =>
    (await items('pods', '-n', system, '-l', 'app.kubernetes.io/instance=webhook')).map((each) => {
      const component = stringAt(each, 'metadata', 'labels', 'app.kubernetes.io/component');
      const [pid] = processesInPod(stringAt(each, 'metadata', 'uid') ?? '', `/app/${component}.cjs`);
      return {
        pod: stringAt(each, 'metadata', 'name') ?? '',
        restarts: Number(at(first(at(each, 'status', 'containerStatuses')), 'restartCount')),
        peak: pid === undefined ? Number.NaN : Math.round(peakResidentOf(pid)),
        limit: Number.parseInt(stringAt(first(at(each, 'spec', 'containers')), 'resources', 'limits', 'memory') ?? '', 10),
      };
    });

  it('injects the first pod after helm install --wait', () => assert.ok(firstIsInjected));

  it('shows with the Service that the webhook is registered', async () => {
    const described = await product.kubectl(['describe', 'service', 'aad-pod-identity-webhook', '-n', system]);
    assert.match(described, /Normal +WebhookRegistered .* the API server calls the webhook from now on/);
  });

  it('refuses none of 2 000 pods during a rolling restart of both webhooks', async () => {
    const failures: string[] = [];
    let made = 0;
    let rolling = true;
    const createMany = async (lane: number) => {
      for (let index = 0; made < 2_000 || rolling; index += 1) {
        const name = `rollout-${lane}-${index}`;
        try {
          if (!(await createPod(name))) failures.push(`${name} is not injected`);
          made += 1;
        } catch (error) {
          failures.push(String(error));
        }
      }
    };
    const old = (await items('pods', '-n', system, '-l', 'app.kubernetes.io/component=webhook')).map(
      (each) => `pod/${stringAt(each, 'metadata', 'name')}`,
    );
    assert.equal(old.length, 2);
    const lanes = Array.from({ length: 8 }, (_, lane) => createMany(lane));
    const { kubectl } = product.cluster;
    const deployment = 'deployment/aad-pod-identity-webhook';
    const restarted = await kubectl(['rollout', 'restart', deployment, '-n', system]);
    const rolled = await kubectl(['rollout', 'status', deployment, '-n', system, '--timeout=180s'], { timeoutSeconds: 190 });
    // The old replicas answer for a while longer; this test is about their last moments.
    const gone = await kubectl(['wait', '--for=delete', ...old, '-n', system, '--timeout=120s'], { timeoutSeconds: 130 });
    rolling = false;
    await Promise.all(lanes);
    assert.deepEqual([restarted.code, rolled.code, gone.code], [0, 0, 0], restarted.stderr + rolled.stderr + gone.stderr);
    assert.ok(made >= 2_000);
    assert.deepEqual(failures, []);
  });

  describe('during floods of one pod', () => {
    before(flood);

    it('admits every pod', () => {
      assert.deepEqual(tally(during.refused), {});
      assert.equal(during.created.length, seconds * 5);
    });

    it('answers every token request', () => {
      assert.ok(during.tokens.length >= seconds);
      assert.deepEqual(
        during.tokens.filter((line) => !line.startsWith('200 ')),
        [],
      );
    });

    it('starts new pods', () => assert.deepEqual(during.started, Array(3).fill(identities.demo.clientId)));

    it('restarts no program and changes no leader', () => {
      const restarts = (list: Program[]) => list.map(({ pod, restarts }) => `${pod}: ${restarts}`);
      assert.deepEqual(restarts(seen.after), restarts(seen.before));
      assert.equal(seen.leaders[1], seen.leaders[0]);
    });

    it('keeps every program below its memory limit', () => {
      for (const { pod, peak, limit } of seen.after) assert.ok(peak < limit, `${pod}: ${peak} of ${limit} MiB`);
    });

    it('was flooded', () => {
      const { halfSentBodies, silentHandshakes, silentTcp, polls, forgedTokens } = during.floods;
      assert.ok(halfSentBodies.established >= 150 && halfSentBodies.megabytes >= 100, JSON.stringify(halfSentBodies));
      assert.ok(silentHandshakes.opened >= 7_400, JSON.stringify(silentHandshakes));
      assert.ok(silentTcp.opened >= 3_000, JSON.stringify(silentTcp));
      assert.ok(polls.opened >= 3_000, JSON.stringify(polls));
      // The broker lets few of them in and answers few a second: only how many there were at once is the flood's own doing.
      assert.ok(forgedTokens.mostAtOnce === 50 && Number(forgedTokens.answers['401']) > 0, JSON.stringify(forgedTokens));
    });
  });
});

/** A service principal, whose tokens the broker makes, and its Secret. */
function principal(): unknown[] {
  const { clientID, clientSecret, tenantID } = controllerSignIn;
  const api = { apiVersion: 'aadpodidentity.k8s.io/v1' };
  const metadata = { name: 'principal' };
  const spec = { type: 1, clientID, tenantID, clientPassword: { name: 'principal', namespace: 'default' } };
  return [
    { apiVersion: 'v1', kind: 'Secret', metadata, stringData: { clientSecret } },
    { ...api, kind: 'AzureIdentity', metadata, spec },
    { ...api, kind: 'AzureIdentityBinding', metadata, spec: { azureIdentity: 'principal', selector: 'principal' } },
  ];
}

function floodPod(image: string): unknown {
  const container = {
    name: 'flood',
    image,
    command: ['node', '-e', 'setInterval(() => {}, 1e9)'],
    securityContext: { runAsUser: 1000 },
    // As much of the processor as the programs have when all want it: a flood comes from other nodes.
    resources: { requests: { cpu: '100m' }, limits: { cpu: '1' } },
  };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'flood', namespace: 'flood' },
    spec: { automountServiceAccountToken: false, terminationGracePeriodSeconds: 0, containers: [container] },
  };
}

async function bundled(): Promise<string> {
  const entryPoints = [path.join(import.meta.dirname, 'flood.ts')];
  const { outputFiles } = await esbuild.build({ entryPoints, bundle: true, platform: 'node', format: 'cjs', write: false });
  return outputFiles[0]?.text ?? '';
}

/** How often each text comes. */
function tally(texts: string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const text of texts) counts[text] = (counts[text] ?? 0) + 1;
  return counts;
}

const first = (list: unknown): unknown => (Array.isArray(list) ? list[0] : undefined);
