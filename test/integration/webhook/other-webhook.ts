// Another mutating webhook, as service meshes and policy engines have one.
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { KubeClient } from '../../../lib/kube/client.ts';
import { mutatingWebhookConfigurations, resourcePath } from '../../../lib/kube/resources.ts';
import type { KeyPair } from '../../../lib/tls/key-pair.ts';
import { base64 } from './harness.ts';

interface ReviewedPod {
  metadata: { annotations?: Record<string, string> };
  spec: { initContainers?: { name: string }[] };
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
  label: (): object[] => [{ op: 'add', path: '/metadata/labels/seen', value: 'yes' }],
};
export type ChangeName = keyof typeof changes;

export interface OtherWebhook {
  /** Reviews so far. */
  readonly calls: number;
  /** Deletes its configuration. The API server may call it for a moment longer. */
  unregister(): Promise<void>;
  stop(): Promise<void>;
}

export interface OtherWebhookOptions {
  client: KubeClient;
  /** Of its configuration. The API server calls webhooks in the order of these names. */
  name: string;
  change: ChangeName;
  ca: KeyPair;
  leaf: KeyPair;
}

export async function startOtherWebhook({ client, name, change, ca, leaf }: OtherWebhookOptions): Promise<OtherWebhook> {
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
  await client.call('POST', resourcePath(mutatingWebhookConfigurations), { body: configurationOf(name, url, ca) });
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

function configurationOf(name: string, url: string, ca: KeyPair): object {
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
        objectSelector: { matchExpressions: [{ key: 'aadpodidbinding', operator: 'Exists' }] },
        failurePolicy: 'Fail',
        reinvocationPolicy: 'Never',
        sideEffects: 'None',
      },
    ],
  };
}
