// A guarded namespace behind a real API server: each way to create a pod there, and what is not guarded.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { at, isRecord, stringAt } from '../../../common/records.ts';
import { mergePatch } from '../../../lib/kube/client.ts';
import { eventually } from '../../harness/wait.ts';
import type { Harness } from './harness.ts';
import { releaseNamespace, startHarness } from './harness.ts';
import type { WebhookProcess } from './webhook-process.ts';

const image = 'app:1';
const key = (name: string) => `aadpodidentity.k8s.io/${name}`;
const guard = { [key('guard')]: 'enabled' };
const marker = key('injected');
const labelled = { aadpodidbinding: 'reader' };
const optOut = { [key('inject')]: 'false' };

interface PodParts {
  namespace?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  spec?: Record<string, unknown>;
}
const pod = (name: string, { namespace = 'guarded', labels = {}, annotations = {}, spec = {} }: PodParts = {}) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace, labels, annotations },
  spec: { containers: [{ name: 'app', image }], ...spec },
});
const withSecurity = (securityContext: object) => ({ spec: { containers: [{ name: 'app', image, securityContext }] } });

describe('guarded namespaces behind a real API server', () => {
  let harness: Harness;
  let webhook: WebhookProcess;

  before(async () => {
    harness = await startHarness({ set: 'guard.enabled=true' });
    webhook = await harness.startRegistered([`--guard-namespace-selector=${JSON.stringify({ matchLabels: guard })}`]);
    await harness.createNamespace('guarded', { labels: guard });
    await harness.createNamespace('open');
  });
  after(async () => {
    await harness?.stop();
  });

  const get = (name: string, namespace = 'guarded') => harness.client.call('GET', `/api/v1/namespaces/${namespace}/pods/${name}`);
  const create = (manifest: object, ...args: string[]) => harness.kubectl(['create', ...args], manifest);
  const listAt = (found: unknown, ...path: string[]): unknown[] => {
    const list = at(found, ...path);
    return Array.isArray(list) ? list : [];
  };
  const markerOf = (found: unknown) => stringAt(found, 'metadata', 'labels', marker);
  const initNames = (found: unknown) => listAt(found, 'spec', 'initContainers').map((container) => stringAt(container, 'name'));
  const isGuarded = (found: unknown) => {
    const [first] = listAt(found, 'spec', 'initContainers');
    return stringAt(first, 'name') === 'aad-pod-identity-init' && listAt(first, 'args').includes('--deny-imds');
  };
  const assertGuarded = (found: unknown) => {
    assert.ok(isGuarded(found), JSON.stringify(at(found, 'spec', 'initContainers')));
    assert.equal(markerOf(found), 'guard');
    for (const container of listAt(found, 'spec', 'containers'))
      assert.deepEqual(at(container, 'securityContext', 'capabilities', 'drop'), ['NET_RAW']);
  };
  const annotate = (namespace: string, annotations: Record<string, string | null>) =>
    harness.client.call('PATCH', `/api/v1/namespaces/${namespace}`, { body: { metadata: { annotations } }, contentType: mergePatch });

  it('puts a guard in front of the init containers of an unlabelled pod', async () => {
    const { code, stderr } = await create(pod('plain', { spec: { initContainers: [{ name: 'migrate', image }] } }));
    assert.equal(code, 0, stderr);
    assert.equal(stderr, '');
    const found = await get('plain');
    assertGuarded(found);
    assert.deepEqual(initNames(found), ['aad-pod-identity-init', 'migrate']);
    const record = await webhook.logged((one) => one.msg === 'admission' && one.name === 'plain');
    assert.deepEqual([record.decision, record.reason], ['guard', 'guarded']);
  });

  it('injects a labelled pod, whose containers lose NET_RAW', async () => {
    const { code, stderr } = await create(pod('labelled', { labels: labelled }));
    assert.equal(code, 0, stderr);
    const found = await get('labelled');
    assert.deepEqual(initNames(found), ['aad-pod-identity-init', 'aad-pod-identity-proxy']);
    assert.equal(isGuarded(found), false);
    assert.equal(markerOf(found), 'redirect');
    assert.deepEqual(at(listAt(found, 'spec', 'containers')[0], 'securityContext', 'capabilities', 'drop'), ['NET_RAW']);
  });

  for (const [name, parts, says] of [
    ['opted-out', { labels: labelled, annotations: optOut }, /switched off by the inject annotation and this namespace is guarded/],
    ['empty-label', { labels: { aadpodidbinding: '' } }, /the label aadpodidbinding is empty and this namespace is guarded/],
  ] as const)
    it(`gives a labelled pod that is not injected a guard and says so: ${name}`, async () => {
      const { code, stderr } = await create(pod(name, parts));
      assert.equal(code, 0, stderr);
      assert.match(stderr, says);
      assertGuarded(await get(name));
    });

  it('overwrites a forged marker, and removes one where it adds nothing', async () => {
    assert.equal((await create(pod('forged', { labels: { [marker]: 'redirect' } }))).code, 0);
    assertGuarded(await get('forged'));
    const forged = pod('forged', { namespace: 'open', labels: { ...labelled, [marker]: 'redirect' }, annotations: optOut });
    assert.equal((await create(forged)).code, 0);
    assert.equal(markerOf(await get('forged', 'open')), undefined);
  });

  const denied: [name: string, parts: PodParts, says: RegExp][] = [
    ['host-network', { spec: { hostNetwork: true } }, /nothing keeps a pod with hostNetwork from IMDS/],
    ['windows', { spec: { os: { name: 'windows' } } }, /nothing keeps a Windows pod from IMDS/],
    ['privileged', withSecurity({ privileged: true }), /spec\.containers\[app\]: .*could pass the guard/],
    ['net-admin', { labels: labelled, ...withSecurity({ capabilities: { add: ['NET_ADMIN'] } }) }, /could pass the guard/],
    ['interception-none', { labels: labelled, annotations: { [key('interception')]: 'none' } }, /interception=none leaves IMDS open/],
    ['reserved-name', { spec: { containers: [{ name: 'aad-pod-identity-init', image }] } }, /names of the injected/],
  ];
  for (const [name, parts, says] of denied)
    it(`denies a pod that no guard can hold, with the reason: ${name}`, async () => {
      const { code, stderr } = await create(pod(name, parts));
      assert.equal(code, 1);
      assert.match(stderr, says);
      assert.match(stderr, /admission webhook "(guard|inject)\.aadpodidentity\.k8s\.io" denied the request/);
    });

  it('denies an excepted pod until the namespace lists the exception', async () => {
    const exception = {
      apiVersion: 'aadpodidentity.k8s.io/v1',
      kind: 'AzurePodIdentityException',
      metadata: { name: 'legacy', namespace: 'guarded' },
      spec: { podLabels: { app: 'legacy' } },
    };
    assert.equal((await harness.kubectl(['apply'], exception)).code, 0);
    // No event says when the webhook's watch has brought the exception.
    for (const labels of [{ app: 'legacy' }, { app: 'legacy', ...labelled }])
      await eventually(async () => {
        const { stderr } = await create(pod('excepted', { labels }), '--dry-run=server');
        return /AzurePodIdentityException legacy: this namespace is guarded/.test(stderr);
      }, 'the excepted pod is denied');
    await annotate('guarded', { [key('guard-allow')]: 'other, legacy' });
    await eventually(async () => (await create(pod('excepted', { labels: { app: 'legacy' } }))).code === 0, 'the listed exception counts');
    const found = await get('excepted');
    assert.deepEqual([initNames(found), markerOf(found)], [[], undefined]);
    await annotate('guarded', { [key('guard-allow')]: null });
  });

  for (const { kind, apiVersion, spec } of [
    { kind: 'Deployment', apiVersion: 'apps/v1', spec: { selector: { matchLabels: { app: 'w' } } } },
    { kind: 'Job', apiVersion: 'batch/v1', spec: {} },
  ])
    it(`guards the pods of a ${kind}`, async () => {
      const name = kind.toLowerCase();
      const containers = [{ name: 'app', image }];
      const template = {
        metadata: { labels: { app: 'w' } },
        spec: { containers, ...(kind === 'Job' ? { restartPolicy: 'Never' } : {}) },
      };
      const { code, stderr } = await create({ apiVersion, kind, metadata: { name, namespace: 'guarded' }, spec: { ...spec, template } });
      assert.equal(code, 0, stderr);
      await eventually(async () => {
        const items = listAt(await harness.client.call('GET', '/api/v1/namespaces/guarded/pods'), 'items');
        const own = items.find((item) => stringAt(item, 'metadata', 'name')?.startsWith(`${name}-`));
        return own !== undefined && isGuarded(own);
      }, `${kind} has a guarded pod`);
    });

  it('names the other levels where Pod Security refuses NET_ADMIN', async () => {
    await harness.createNamespace('strict', { labels: { ...guard, 'pod-security.kubernetes.io/enforce': 'baseline' } });
    const { code, stderr } = await create(pod('plain', { namespace: 'strict' }));
    assert.equal(code, 1);
    assert.match(stderr, /namespace strict enforces pod security baseline.*network policy that denies 169\.254\.169\.254\/32 or federated/);
  });

  it('guards new pods of a namespace that becomes guarded, and leaves those that run', async () => {
    await harness.createNamespace('later');
    assert.equal((await create(pod('early', { namespace: 'later' }))).code, 0);
    await harness.client.call('PATCH', '/api/v1/namespaces/later', { body: { metadata: { labels: guard } }, contentType: mergePatch });
    // The API server and the webhook each follow namespaces by a watch of their own.
    for (const [name, parts] of [
      ['unlabelled', {}],
      ['opted-out', { labels: labelled, annotations: optOut }],
    ] as const)
      await eventually(async () => {
        const { stdout } = await create(pod(name, { namespace: 'later', ...parts }), '--dry-run=server', '-o', 'json');
        return stdout !== '' && isGuarded(JSON.parse(stdout));
      }, `${name} is guarded`);
    const early = await get('early', 'later');
    assert.deepEqual([initNames(early), markerOf(early)], [[], undefined]);
  });

  it('guards the pod of a namespace that was created just before it', async () => {
    await harness.client.call('POST', '/api/v1/namespaces', {
      body: { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'fresh', labels: guard } },
    });
    const body = pod('opted-out', { namespace: 'fresh', labels: labelled, annotations: optOut });
    await harness.createPodInNew('fresh', body);
    assertGuarded(await get('opted-out', 'fresh'));
  });

  it('warns of a value of the guard label that guards nothing', async () => {
    await harness.createNamespace('misspelt', { labels: { [key('guard')]: 'enable' } });
    const { code, stderr } = await create(pod('labelled', { namespace: 'misspelt', labels: labelled }));
    assert.equal(code, 0, stderr);
    assert.match(stderr, /Warning: label aadpodidentity\.k8s\.io\/guard of namespace misspelt is "enable" and does not guard it/);
    assert.equal((await create(pod('plain', { namespace: 'misspelt' }))).code, 0);
    assert.deepEqual(initNames(await get('plain', 'misspelt')), []);
  });

  it('guards neither the release namespace nor namespaces without the label', async () => {
    await harness.client.call('PATCH', `/api/v1/namespaces/${releaseNamespace}`, {
      body: { metadata: { labels: guard } },
      contentType: mergePatch,
    });
    for (const namespace of [releaseNamespace, 'open']) {
      assert.equal((await create(pod('unguarded', { namespace }))).code, 0);
      assert.deepEqual(initNames(await get('unguarded', namespace)), []);
    }
    assert.equal(
      webhook.log.some((record) => record.name === 'unguarded'),
      false,
    );
  });

  it('lets no pod into a guarded namespace while the webhook is down', async () => {
    await webhook.stop();
    const refused = await create(pod('down'));
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /failed calling webhook "guard\.aadpodidentity\.k8s\.io"/);
    assert.equal((await create(pod('down', { namespace: 'open' }))).code, 0);
  });

  it('lets pods in without a guard while the webhook is down, by its failurePolicy', async () => {
    const path = '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/zz-aad-pod-identity-webhook';
    const webhooks = listAt(await harness.client.call('GET', path), 'webhooks').map((entry) =>
      isRecord(entry) && stringAt(entry, 'name')?.startsWith('guard.') ? { ...entry, failurePolicy: 'Ignore' } : entry,
    );
    await harness.client.call('PATCH', path, { body: { webhooks }, contentType: mergePatch });
    await eventually(async () => (await create(pod('ignored'))).code === 0, 'the failure is ignored');
    assert.deepEqual(initNames(await get('ignored')), []);
  });
});
