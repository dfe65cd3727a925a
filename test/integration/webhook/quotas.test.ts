// Labelled pods in namespaces with LimitRanges and quotas: the plugins LimitRanger and ResourceQuota of a real API server judge what the webhook adds.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { annotations } from '../../../api/names.ts';
import { at, isRecord, stringAt } from '../../../common/records.ts';
import { jsonPatch } from '../../../lib/kube/client.ts';
import { limitRanges, pods, resourcePath } from '../../../lib/kube/resources.ts';
import { eventually } from '../../harness/wait.ts';
import type { Harness } from './harness.ts';
import { startHarness } from './harness.ts';

interface Item {
  type?: 'Container' | 'Pod';
  [bound: string]: unknown;
}
interface PodParts {
  annotations?: Record<string, string>;
  resources?: object;
}
type Amounts = { requests: Record<string, string>; limits: Record<string, string> };

const key = (name: string) => `aadpodidentity.k8s.io/${name}`;
const podNamed = (name: string, { annotations: map = {}, resources = {} }: PodParts = {}) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, labels: { aadpodidbinding: 'reader' }, annotations: map },
  spec: { containers: [{ name: 'app', image: 'app:1', resources }] },
});

/** Of the init container and the proxy. */
function injectedAmounts(pod: unknown): Amounts[] {
  const all = at(pod, 'spec', 'initContainers');
  return (Array.isArray(all) ? all : []).map((container) => at(container, 'resources') as Amounts);
}

describe('the webhook in namespaces with LimitRanges and quotas', () => {
  let harness: Harness;

  before(async () => {
    harness = await startHarness();
    await harness.startRegistered();
  });
  after(async () => {
    await harness?.stop();
  });

  const createRange = (namespace: string, items: readonly Item[], name = 'limits') =>
    harness.client.call('POST', resourcePath(limitRanges, { namespace }), {
      body: {
        apiVersion: 'v1',
        kind: 'LimitRange',
        metadata: { name },
        spec: { limits: items.map((item) => ({ type: 'Container', ...item })) },
      },
    });
  const createQuota = (namespace: string, hard: Record<string, string>) =>
    harness.client.call('POST', `/api/v1/namespaces/${namespace}/resourcequotas`, {
      body: { apiVersion: 'v1', kind: 'ResourceQuota', metadata: { name: 'quota' }, spec: { hard } },
    });
  const create = (namespace: string, pod: object) => harness.client.call('POST', resourcePath(pods, { namespace }), { body: pod });

  /** The webhook and the API server learn of new LimitRanges and quotas at different times, and refuse the pod between them. */
  async function untilAdmitted(namespace: string, pod: object): Promise<unknown> {
    let found: unknown;
    let refusal: unknown;
    const isAdmitted = () =>
      create(namespace, pod).then(
        (created) => {
          found = created;
          return true;
        },
        (error: unknown) => {
          refusal = error;
          return false;
        },
      );
    await eventually(isAdmitted, 'the pod is admitted').catch((error: unknown) => {
      throw new Error(String(error), { cause: refusal });
    });
    return found;
  }

  it('admits a pod with CPU limits under a quota on limits.cpu', async () => {
    await harness.createNamespace('cpu-quota');
    await createQuota('cpu-quota', { 'limits.cpu': '10', 'requests.cpu': '10' });
    const pod = await untilAdmitted('cpu-quota', podNamed('app', { resources: { limits: { cpu: '1' }, requests: { cpu: '200m' } } }));
    assert.deepEqual(
      injectedAmounts(pod).map(({ limits }) => limits.cpu),
      ['100m', '100m'],
    );
    await assert.rejects(create('cpu-quota', podNamed('unlimited')), /must specify limits.cpu for: .*app/);
  });

  it('admits a pod with empty pod-level resources under a quota on requests', async () => {
    await harness.createNamespace('empty-whole');
    await createQuota('empty-whole', { 'requests.cpu': '10', 'requests.memory': '10Gi' });
    const own = podNamed('app', { resources: { requests: { cpu: '1m', memory: '1Mi' } } });
    const pod = await untilAdmitted('empty-whole', { ...own, spec: { ...own.spec, resources: {} } });
    assert.deepEqual(
      injectedAmounts(pod).map(({ requests }) => requests),
      Array(2).fill({ cpu: '10m', memory: '16Mi' }),
    );
  });

  // https://github.com/istio/istio/issues/53509
  it('admits a pod under a LimitRange and a quota on ephemeral storage', async () => {
    await harness.createNamespace('storage');
    const storage = (amount: string) => ({ 'ephemeral-storage': amount });
    await createRange('storage', [
      { min: storage('10Mi'), max: storage('2Gi'), default: storage('100Mi'), defaultRequest: storage('20Mi') },
    ]);
    await createQuota('storage', { 'limits.ephemeral-storage': '1Gi', 'requests.ephemeral-storage': '1Gi' });
    const pod = await untilAdmitted('storage', podNamed('app'));
    for (const { requests, limits } of injectedAmounts(pod))
      assert.deepEqual([requests['ephemeral-storage'], limits['ephemeral-storage']], ['20Mi', '100Mi']);
  });

  const fitting: { title: string; items: Item[]; cpu: [request: string, limit: string | undefined]; memory: [string, string] }[] = [
    { title: 'min above the request', items: [{ min: { cpu: '50m', memory: '80Mi' } }], cpu: ['50m', undefined], memory: ['80Mi', '80Mi'] },
    { title: 'max below the limit', items: [{ max: { cpu: '80m', memory: '32Mi' } }], cpu: ['10m', '80m'], memory: ['16Mi', '32Mi'] },
    {
      title: 'maxLimitRequestRatio and default',
      items: [{ default: { cpu: '300m', memory: '256Mi' }, maxLimitRequestRatio: { cpu: '4', memory: '3' } }],
      cpu: ['75m', '300m'],
      memory: ['22Mi', '64Mi'],
    },
    {
      title: 'all bounds, and bounds for pods',
      items: [
        { min: { cpu: '20m' }, max: { cpu: '1', memory: '1Gi' }, default: { cpu: '500m' }, maxLimitRequestRatio: { cpu: '10' } },
        { type: 'Pod', max: { cpu: '3', memory: '3Gi' } },
      ],
      cpu: ['50m', '500m'],
      memory: ['16Mi', '64Mi'],
    },
  ];
  for (const [index, { title, items, cpu, memory }] of fitting.entries())
    it(`admits a pod under a LimitRange with ${title}`, async () => {
      const namespace = `range-${index}`;
      await harness.createNamespace(namespace);
      await createRange(namespace, items);
      // With amounts of its own that every one of these ranges accepts.
      const own = { requests: { cpu: '40m', memory: '24Mi' }, limits: { cpu: '60m', memory: '32Mi' } };
      const resources = index === 0 ? { requests: { cpu: '60m', memory: '80Mi' } } : own;
      const pod = await untilAdmitted(namespace, podNamed('app', { resources }));
      assert.deepEqual(
        injectedAmounts(pod).map(({ requests, limits }) => [requests.cpu, limits.cpu, requests.memory, limits.memory]),
        [
          [...cpu, ...memory],
          [...cpu, ...memory],
        ],
      );
    });

  it('keeps a pod guaranteed under a LimitRange with min and maxLimitRequestRatio', async () => {
    await harness.createNamespace('guaranteed');
    await createRange('guaranteed', [{ min: { cpu: '200m', memory: '128Mi' }, maxLimitRequestRatio: { cpu: '1', memory: '1' } }]);
    const pod = await untilAdmitted('guaranteed', podNamed('app', { resources: { limits: { cpu: '1', memory: '1Gi' } } }));
    assert.equal(stringAt(pod, 'status', 'qosClass'), 'Guaranteed');
    assert.deepEqual(injectedAmounts(pod)[0]?.limits, { cpu: '200m', memory: '128Mi' });
  });

  it('keeps the template hash when a LimitRange changes the amounts', async () => {
    await harness.createNamespace('hash');
    const hashOf = (pod: unknown) =>
      stringAt(JSON.parse(stringAt(pod, 'metadata', 'annotations', annotations.status) ?? '{}') as unknown, 'templateHash');
    const before = await untilAdmitted('hash', podNamed('before'));
    await createRange('hash', [{ min: { cpu: '70m' } }]);
    let after: unknown;
    await eventually(async () => {
      after = await create('hash', { ...podNamed('x'), metadata: { ...podNamed('x').metadata, name: undefined, generateName: 'after-' } });
      return injectedAmounts(after)[0]?.requests.cpu === '70m';
    }, 'the LimitRange counts');
    assert.match(hashOf(before) ?? '', /^[0-9a-f]{16}$/);
    assert.equal(hashOf(after), hashOf(before));
  });

  it('takes amounts from annotations of the namespace, and prefers those of the pod', async () => {
    await harness.createNamespace('annotated', {
      annotations: { [key('init-cpu-limit')]: '150m', [key('proxy-cpu-limit')]: '250m', [key('proxy-memory-limit')]: '96Mi' },
    });
    const pod = await untilAdmitted('annotated', podNamed('app', { annotations: { [key('proxy-cpu-limit')]: '400m' } }));
    assert.deepEqual(
      injectedAmounts(pod).map(({ limits }) => limits),
      [
        { cpu: '150m', memory: '64Mi' },
        { cpu: '400m', memory: '96Mi' },
      ],
    );
  });

  it('denies pods for a value in an annotation of the namespace, and names both', async () => {
    await harness.createNamespace('wrong', { annotations: { [key('init-cpu-limit')]: 'much' } });
    await eventually(
      async () =>
        create('wrong', podNamed('app')).then(
          () => false,
          (error: unknown) => String(error).includes('namespace wrong: annotation aadpodidentity.k8s.io/init-cpu-limit is "much"'),
        ),
      'the pod is denied',
    );
  });

  const refused = [
    {
      title: 'of type Container with a max below the request',
      items: [{ max: { memory: '8Mi' } }],
      warning:
        /Warning: aad-pod-identity-proxy does not fit: memory request 16Mi is above max 8Mi of LimitRange small: .*aadpodidentity\.k8s\.io\/proxy-memory-request/,
      error: /maximum memory usage per Container is 8Mi, but limit is 16Mi/,
    },
    {
      title: 'of type Pod',
      items: [{ type: 'Pod' as const, max: { memory: '40Mi' } }],
      warning:
        /Warning: the pod with the injected containers does not fit: memory limit 72Mi is above max 40Mi of LimitRange small for pods/,
      error: /maximum memory usage per Pod is 40Mi, but limit is 7\d+/,
    },
  ];
  for (const [index, { title, items, warning, error }] of refused.entries())
    it(`warns before a LimitRange ${title} refuses the pod`, async () => {
      const namespace = `refused-${index}`;
      await harness.createNamespace(namespace);
      await createRange(namespace, items, 'small');
      const pod = podNamed('app', { resources: { limits: { memory: '8Mi' } } });
      let output = { code: 0, stderr: '' };
      await eventually(async () => {
        output = await harness.kubectl(['create', '-n', namespace], pod);
        return output.stderr.includes('does not fit');
      }, 'the webhook knows the LimitRange');
      assert.match(output.stderr, warning);
      assert.match(output.stderr, error);
      assert.equal(output.code, 1);
    });

  it('admits pods without the right to list LimitRanges', async () => {
    const role = '/apis/rbac.authorization.k8s.io/v1/clusterroles/aad-pod-identity-webhook';
    const rules = at(await harness.client.call('GET', role), 'rules') as unknown[];
    const without = rules
      .filter(isRecord)
      .map((rule) => ({ ...rule, resources: (rule.resources as string[]).filter((resource) => resource !== 'limitranges') }));
    await harness.client.call('PATCH', role, { contentType: jsonPatch, body: [{ op: 'replace', path: '/rules', value: without }] });
    const webhook = await harness.startRegistered();
    await webhook.logged((record) => record.resource === 'limitranges' && String(record.msg).startsWith('not allowed to list'));
    await harness.createNamespace('unread');
    assert.equal(injectedAmounts(await untilAdmitted('unread', podNamed('app'))).length, 2);
  });
});
