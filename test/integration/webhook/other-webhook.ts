// Another mutating webhook, as service meshes and policy engines have one.
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { imdsAddress } from '../../../api/names.ts';
import type { KubeClient } from '../../../lib/kube/client.ts';
import { mutatingWebhookConfigurations, pods, resourcePath } from '../../../lib/kube/resources.ts';
import type { KeyPair } from '../../../lib/tls/key-pair.ts';
import { eventually } from '../../harness/wait.ts';
import type { Harness } from './harness.ts';
import { base64, issueFor } from './harness.ts';
import { withWorkloadIdentity } from './workload-identity.ts';

interface Container {
  name: string;
  image?: string;
  env?: { name: string; value?: string }[];
  resources?: { requests?: Record<string, string> };
}

interface ReviewedPod {
  metadata: { annotations?: Record<string, string> };
  spec: { initContainers?: Container[]; containers: Container[]; volumes?: { name: string }[] };
}

interface ReviewBody {
  request: { uid: string; object: ReviewedPod };
}

const mesh = { name: 'mesh', image: 'mesh:1' };
const changes = {
  /** Puts a container in front of all init containers, once. */
  container({ spec }: ReviewedPod): object[] {
    if (spec.initContainers === undefined) return [{ op: 'add', path: '/spec/initContainers', value: [mesh] }];
    return spec.initContainers.some(({ name }) => name === mesh.name) ? [] : [{ op: 'add', path: '/spec/initContainers/0', value: mesh }];
  },
  workloadIdentity: withWorkloadIdentity,
  bind: (): object[] => [{ op: 'add', path: '/metadata/labels/aadpodidbinding', value: 'reader' }],
  label: (): object[] => [{ op: 'add', path: '/metadata/labels/seen', value: 'yes' }],
  /** As policy engines do: images from a mirror, a proxy, more CPU. */
  policy: (pod: ReviewedPod): object[] =>
    withContainers(pod, (container) => ({
      ...container,
      image: container.image?.startsWith(mirror) === true ? container.image : `${mirror}${container.image ?? ''}`,
      imagePullPolicy: 'Always',
      env: withVariable(withVariable(container.env, 'HTTP_PROXY'), 'NO_PROXY', imdsAddress),
      resources: { ...container.resources, requests: { ...container.resources?.requests, cpu: '25m' } },
    })),
  variable: (pod: ReviewedPod): object[] =>
    withContainers(pod, (container) => ({ ...container, env: withVariable(container.env, 'LD_PRELOAD') })),
};
/** Of the images that the change `policy` writes. */
export const mirror = 'mirror.test/hub/';

function withContainers({ spec }: ReviewedPod, change: (container: Container) => object): object[] {
  return (['initContainers', 'containers'] as const).flatMap((field) => {
    const list = spec[field];
    return list === undefined ? [] : [{ op: 'replace', path: `/spec/${field}`, value: list.map(change) }];
  });
}

/** In front, where a rendered container has none. */
function withVariable(env: NonNullable<Container['env']> = [], name = '', value = 'x'): NonNullable<Container['env']> {
  return env.some((variable) => variable.name === name) ? env : [{ name, value }, ...env];
}

type ChangeName = keyof typeof changes;

interface OtherWebhook {
  /** Reviews so far. */
  readonly calls: number;
  /** Deletes its configuration. The API server may call it for a moment longer. */
  unregister(): Promise<void>;
  stop(): Promise<void>;
}

interface OtherWebhookOptions {
  client: KubeClient;
  /** Of its configuration. The API server calls webhooks in the order of these names. */
  name: string;
  change: ChangeName;
  reinvocationPolicy?: ReinvocationPolicy;
  ca: KeyPair;
  leaf: KeyPair;
}

export type ReinvocationPolicy = 'Never' | 'IfNeeded';

async function startOtherWebhook({
  client,
  name,
  change,
  reinvocationPolicy = 'Never',
  ca,
  leaf,
}: OtherWebhookOptions): Promise<OtherWebhook> {
  let calls = 0;
  const server = createServer({ key: leaf.key, cert: leaf.certificate }, (request, response) => {
    let text = '';
    request.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    request.on('end', () => {
      calls += 1;
      const { uid, object } = (JSON.parse(text) as ReviewBody).request;
      const patch = base64(JSON.stringify(changes[change](object)));
      const body = { uid, allowed: true, patchType: 'JSONPatch', patch };
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', response: body }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `https://localhost:${(server.address() as AddressInfo).port}/`;
  await client.call('POST', resourcePath(mutatingWebhookConfigurations), { body: configurationOf(name, url, ca, reinvocationPolicy) });
  return {
    get calls() {
      return calls;
    },
    async unregister() {
      await client.call('DELETE', resourcePath(mutatingWebhookConfigurations, { name }));
    },
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function configurationOf(name: string, url: string, ca: KeyPair, reinvocationPolicy: ReinvocationPolicy): object {
  return {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'MutatingWebhookConfiguration',
    metadata: { name },
    webhooks: [
      {
        name: 'mesh.test.local',
        admissionReviewVersions: ['v1'],
        clientConfig: { url, caBundle: base64(ca.certificate) },
        rules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods'] }],
        failurePolicy: 'Fail',
        reinvocationPolicy,
        sideEffects: 'None',
      },
    ],
  };
}

/** A pod that only asks whether webhooks are called. */
const probe = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'probe', labels: { aadpodidbinding: 'x' } },
  spec: { containers: [{ name: 'app', image: 'a' }] },
};

/** Calls `work` while another webhook runs as well. `namespace`: one that exists. */
export async function withOtherWebhook(
  harness: Pick<Harness, 'client' | 'ca'>,
  { namespace, ...options }: Pick<OtherWebhookOptions, 'name' | 'change' | 'reinvocationPolicy'> & { namespace: string },
  work: () => Promise<void>,
): Promise<void> {
  const { client, ca } = harness;
  const other = await startOtherWebhook({ client, ...options, ...(await issueFor(['localhost'], ca)) });
  const isCalled = async () => {
    const before = other.calls;
    await client.call('POST', resourcePath(pods, { namespace }), { body: probe, query: { dryRun: 'All' } });
    return other.calls > before;
  };
  // No event says when the API server's watch has brought a changed configuration.
  try {
    await eventually(isCalled, 'the other webhook is called');
    await work();
  } finally {
    await other.unregister();
    await eventually(async () => !(await isCalled()), 'the other webhook is called no more');
    await other.stop();
  }
}
