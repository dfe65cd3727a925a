// Other admission changes our containers: webhooks before and after ours, with and without reinvocation, and plugins of the API server.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { webhookConfigurationName } from '../../../api/names.ts';
import { at } from '../../../common/records.ts';
import { jsonPatch } from '../../../lib/kube/client.ts';
import { mutatingWebhookConfigurations, resourcePath } from '../../../lib/kube/resources.ts';
import { eventually } from '../../harness/wait.ts';
import type { Harness } from './harness.ts';
import { startHarness } from './harness.ts';
import type { ReinvocationPolicy } from './other-webhook.ts';
import { mirror, withOtherWebhook } from './other-webhook.ts';
import type { WebhookProcess } from './webhook-process.ts';

const ownImage = 'sidecar:test';
const guard = { 'aadpodidentity.k8s.io/guard': 'enabled' };
const guardFlag = `--guard-namespace-selector=${JSON.stringify({ matchLabels: guard })}`;
const rewrites = `--sidecar-allowed-rewrites=${mirror}sidecar:*`;

interface Container {
  name: string;
  image: string;
  imagePullPolicy: string;
  command?: string[];
  env?: { name: string; value?: string }[];
  resources: { requests?: Record<string, string>; limits?: Record<string, string> };
  volumeMounts?: { name: string }[];
  [field: string]: unknown;
}
interface Created {
  code: number;
  /** Warnings, and the error of a pod that is refused. */
  stderr: string;
  ours: Container[];
  own: Container[];
}

const isOurs = ({ name }: Container) => name.startsWith('aad-pod-identity-');

/** Of the change `policy`. */
const proxyVariables = ['NO_PROXY', 'HTTP_PROXY'];

describe('our containers among other admission', () => {
  let harness: Harness;
  let webhook: WebhookProcess;
  let count = 0;

  before(async () => {
    harness = await startHarness({ set: 'guard.enabled=true', apiServerFlags: { 'enable-admission-plugins': 'AlwaysPullImages' } });
    webhook = await harness.startRegistered([guardFlag, rewrites]);
    await createLimitedNamespace('team', {});
    await createLimitedNamespace('guarded', guard);
  });
  after(async () => {
    await harness?.stop();
  });

  /** With PodSecurity, LimitRange and ResourceQuota. */
  const createLimitedNamespace = async (name: string, labels: Record<string, string>) => {
    await harness.createNamespace(name, { labels: { 'pod-security.kubernetes.io/enforce': 'privileged', ...labels } });
    const limit = {
      type: 'Container',
      min: { cpu: '5m' },
      max: { cpu: '2', memory: '1Gi' },
      default: { cpu: '500m', memory: '128Mi' },
      defaultRequest: { cpu: '20m', memory: '32Mi' },
    };
    const hard = { 'requests.cpu': '99', 'limits.cpu': '999', 'requests.memory': '99Gi', 'limits.memory': '99Gi' };
    for (const [resource, kind, spec] of [
      ['limitranges', 'LimitRange', { limits: [limit] }],
      ['resourcequotas', 'ResourceQuota', { hard }],
    ] as const)
      await harness.client.call('POST', `/api/v1/namespaces/${name}/${resource}`, {
        body: { apiVersion: 'v1', kind, metadata: { name: 'limits' }, spec },
      });
    await eventually(async () => (await create({ namespace: name })).code === 0, `pods of ${name} are counted and admitted`);
  };
  const create = async ({
    namespace = 'team',
    annotations = {},
    spec = {},
  }: {
    namespace?: string;
    annotations?: object;
    spec?: object;
  } = {}): Promise<Created> => {
    count += 1;
    const labels = namespace === 'guarded' ? {} : { aadpodidbinding: 'reader' };
    const { code, stdout, stderr } = await harness.kubectl(['create', '-o', 'json'], {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: `p${count}`, namespace, labels, annotations },
      spec: { containers: [{ name: 'app', image: 'app:1' }], ...spec },
    });
    const found = code === 0 ? (JSON.parse(stdout) as { spec: { initContainers: Container[]; containers: Container[] } }) : undefined;
    const all = [...(found?.spec.initContainers ?? []), ...(found?.spec.containers ?? [])];
    return { code: code ?? 1, stderr, ours: all.filter(isOurs), own: all.filter((container) => !isOurs(container)) };
  };
  const amountsOf = ({ resources: { requests, limits } }: Container) => [requests?.cpu, requests?.memory, limits?.cpu, limits?.memory];
  const variablesOf = ({ env = [] }: Container) => env.map(({ name }) => name).filter((name) => !name.startsWith('AAD_'));
  /** Without what other admission may change. */
  const fixedPart = ({ image: _image, imagePullPolicy: _policy, env: _env, resources: _resources, ...rest }: Container) => rest;

  const setReinvocationPolicy = async (value: ReinvocationPolicy) => {
    const path = resourcePath(mutatingWebhookConfigurations, { name: webhookConfigurationName });
    const entries = at(await harness.client.call('GET', path), 'webhooks');
    const body = (Array.isArray(entries) ? entries : []).map((_entry, index) => ({
      op: 'replace',
      path: `/webhooks/${index}/reinvocationPolicy`,
      value,
    }));
    await harness.client.call('PATCH', path, { body, contentType: jsonPatch });
    // A later webhook's variable stays where ours is not called again.
    await withOtherWebhook(harness, { namespace: 'team', name: 'zzz-variable', change: 'variable' }, () =>
      eventually(async () => {
        const { ours } = await create();
        return ours.flatMap(variablesOf).length > 0 === (value === 'Never');
      }, 'the API server follows the reinvocation policy'),
    );
  };

  it('are admitted where the API server sets their pull policy to Always', async () => {
    for (const namespace of ['team', 'guarded']) {
      const { code, stderr, ours, own } = await create({ namespace });
      assert.equal(code, 0, stderr);
      assert.equal(stderr, '');
      assert.equal(ours.length, namespace === 'guarded' ? 1 : 2);
      for (const container of [...ours, ...own]) assert.equal(container.imagePullPolicy, 'Always');
      for (const { image } of ours) assert.equal(image, ownImage);
    }
  });

  it('have their own mounts and no token for the Kubernetes API', async () => {
    const { ours, own } = await create();
    for (const container of ours) assert.equal(JSON.stringify(container.volumeMounts).includes('kube-api-access'), false);
    assert.match(JSON.stringify(own[0]?.volumeMounts), /kube-api-access/);
  });

  const policies: readonly ReinvocationPolicy[] = ['IfNeeded', 'Never'];
  for (const ownPolicy of policies)
    describe(`with reinvocationPolicy ${ownPolicy} of ours`, () => {
      before(() => setReinvocationPolicy(ownPolicy));

      for (const [position, name] of [
        ['before', 'aa-policy'],
        ['after', 'zzz-policy'],
      ] as const)
        for (const reinvocationPolicy of policies)
          it(`${ownPolicy}: keep what a webhook ${position} ours with ${reinvocationPolicy} may change`, () =>
            withOtherWebhook(harness, { namespace: 'team', name, change: 'policy', reinvocationPolicy }, async () => {
              // Called before ours and not again, it never sees our containers.
              const isSeen = position === 'after' || reinvocationPolicy === 'IfNeeded';
              for (const namespace of ['team', 'guarded']) {
                const { code, stderr, ours, own } = await create({ namespace });
                assert.equal(code, 0, stderr);
                assert.equal(stderr, '');
                assert.equal(ours.length, namespace === 'guarded' ? 1 : 2);
                for (const container of ours) {
                  assert.equal(container.imagePullPolicy, 'Always');
                  assert.equal(container.image, isSeen ? `${mirror}${ownImage}` : ownImage);
                  assert.deepEqual(variablesOf(container), isSeen ? proxyVariables : []);
                  assert.equal(container.resources.requests?.cpu === '25m', isSeen);
                  assert.deepEqual(container.command?.[0], '/usr/local/bin/bun');
                }
                for (const container of own)
                  assert.deepEqual([container.image, variablesOf(container)], [`${mirror}app:1`, proxyVariables]);
              }
            }));
    });

  describe('under a webhook that is called again', () => {
    before(() => setReinvocationPolicy('IfNeeded'));

    it('lose a variable that is not allowed, and the author is told', () =>
      withOtherWebhook(harness, { namespace: 'team', name: 'zzz-variable', change: 'variable' }, async () => {
        const { code, stderr, ours, own } = await create();
        assert.equal(code, 0, stderr);
        assert.match(stderr, /Warning: aad-pod-identity-proxy is reset: env\[LD_PRELOAD\]\n/);
        assert.match(stderr, /Warning: aad-pod-identity-init is reset: env\[LD_PRELOAD\]\n/);
        assert.deepEqual(ours.flatMap(variablesOf), []);
        assert.deepEqual(own.map(variablesOf), [['LD_PRELOAD']]);
      }));

    it('never run as a forged first submission says', async () => {
      const { ours } = await create();
      const forged = {
        image: 'evil.test/sidecar:1',
        imagePullPolicy: 'IfNotPresent',
        command: ['sh', '-c', 'id'],
        args: [],
        env: [{ name: 'LD_PRELOAD', value: '/data/x.so' }],
        envFrom: [{ configMapRef: { name: 'x', optional: true } }],
        volumeMounts: [{ name: 'data', mountPath: '/app' }],
        lifecycle: { preStop: { exec: { command: ['sh'] } } },
        ports: [{ containerPort: 80 }],
        securityContext: { privileged: true },
        workingDir: '/data',
        terminationMessagePath: '/data/message',
      };
      const initContainers = ['aad-pod-identity-init', 'aad-pod-identity-proxy'].map((name) => ({
        ...forged,
        name,
        ...(name.endsWith('proxy') ? { restartPolicy: 'Always', startupProbe: { exec: { command: ['sh'] } } } : {}),
      }));
      const spec = { initContainers, containers: [{ name: 'app', image: 'app:1' }], volumes: [{ name: 'data', emptyDir: {} }] };
      const annotations = { 'aadpodidentity.k8s.io/status': '{"templateHash":"x","containers":[]}' };
      const found = await create({ annotations, spec });
      assert.equal(found.code, 0, found.stderr);
      assert.deepEqual(found.ours.map(fixedPart), ours.map(fixedPart));
      // The LimitRange gave the forged containers amounts before the webhook was called, and amounts stay.
      for (const container of found.ours)
        assert.deepEqual([container.image, container.imagePullPolicy, variablesOf(container)], [ownImage, 'Always', []]);
      for (const field of [
        'image',
        'command',
        'args',
        'env[LD_PRELOAD]',
        'envFrom',
        'volumeMounts[data]',
        'lifecycle.preStop',
        'startupProbe',
        'ports',
        'securityContext.privileged',
        'workingDir',
        'terminationMessagePath',
      ])
        assert.ok(found.stderr.includes(field), `${field}: ${found.stderr}`);
    });
  });

  it('keep their own image where no rewrite is allowed', async () => {
    await webhook.stop();
    webhook = await harness.startRegistered([guardFlag]);
    await withOtherWebhook(
      harness,
      { namespace: 'team', name: 'zzz-policy', change: 'policy', reinvocationPolicy: 'IfNeeded' },
      async () => {
        const { ours, own } = await create();
        const plain = await create({ namespace: 'guarded' });
        // Called after ours once more, the other one has the last word.
        for (const container of [...ours, ...plain.ours, ...own]) assert.ok(container.image.startsWith(mirror));
      },
    );
    await withOtherWebhook(harness, { namespace: 'team', name: 'zzz-policy', change: 'policy' }, async () => {
      for (const namespace of ['team', 'guarded']) {
        const { code, stderr, ours, own } = await create({ namespace });
        assert.equal(code, 0, stderr);
        assert.match(stderr, /Warning: aad-pod-identity-init is reset: image\n/);
        for (const { image } of ours) assert.equal(image, ownImage);
        for (const { image } of own) assert.equal(image, `${mirror}app:1`);
      }
    });
  });

  it('keep in classic mode what other admission may change', async () => {
    await webhook.stop();
    webhook = await harness.startRegistered([guardFlag, rewrites, '--native-sidecar=never']);
    const { ours: before } = await create();
    await withOtherWebhook(harness, { namespace: 'team', name: 'zzz-policy', change: 'policy' }, async () => {
      const { code, stderr, ours } = await create();
      assert.equal(code, 0, stderr);
      assert.equal(stderr, '');
      assert.deepEqual(ours.map(fixedPart), before.map(fixedPart));
      for (const container of ours)
        assert.deepEqual(
          [container.image, container.imagePullPolicy, variablesOf(container), amountsOf(container)[0]],
          [`${mirror}${ownImage}`, 'Always', proxyVariables, '25m'],
        );
    });
  });
});
