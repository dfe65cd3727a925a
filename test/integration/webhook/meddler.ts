// Another mutating webhook, as meshes and policy engines have.
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { KeyAndCertificate } from '../../../controller/certificates/issue.ts';
import type { KubeClient } from '../../../lib/kube/client.ts';
import { mutatingWebhookConfigurations, resourcePath } from '../../../lib/kube/resources.ts';
import { base64 } from './support.ts';

interface ReviewedPod {
  metadata: { annotations?: Record<string, string> };
  spec: { initContainers?: { name: string }[] };
}

interface ReviewBody {
  request: { uid: string; object: ReviewedPod };
}

const mesh = { name: 'mesh', image: 'mesh:1' };
const meddling = {
  /** Puts a container in front of all init containers, once. */
  container({ spec }: ReviewedPod): object[] {
    if (spec.initContainers === undefined) return [{ op: 'add', path: '/spec/initContainers', value: [mesh] }];
    return spec.initContainers.some(({ name }) => name === mesh.name) ? [] : [{ op: 'add', path: '/spec/initContainers/0', value: mesh }];
  },
  label: (): object[] => [{ op: 'add', path: '/metadata/labels/seen', value: 'yes' }],
};

export interface Meddler {
  /** Pods it was asked about. */
  readonly calls: number;
  stop(): Promise<void>;
}

/** `name` decides its place in the order of webhooks. */
export async function startMeddler(
  client: KubeClient,
  name: string,
  what: keyof typeof meddling,
  { ca, leaf }: { ca: KeyAndCertificate; leaf: KeyAndCertificate },
): Promise<Meddler> {
  let calls = 0;
  const server = createServer({ key: leaf.key, cert: leaf.certificate }, (request, response) => {
    let text = '';
    request.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    request.on('end', () => {
      calls += 1;
      const { uid, object } = (JSON.parse(text) as ReviewBody).request;
      const patch = meddling[what](object);
      const answer = { uid, allowed: true, patchType: 'JSONPatch', patch: base64(JSON.stringify(patch)) };
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', response: answer }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `https://localhost:${(server.address() as AddressInfo).port}/`;
  const body = {
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
  await client.call('POST', resourcePath(mutatingWebhookConfigurations), { body });
  return {
    get calls() {
      return calls;
    },
    async stop() {
      await client.call('DELETE', resourcePath(mutatingWebhookConfigurations, { name }));
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
