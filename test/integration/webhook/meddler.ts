// Another mutating webhook, as meshes have: puts a container in front of all init containers, once.
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { KeyAndCertificate } from '../../../controller/certificates/issue.ts';
import type { KubeClient } from '../../../lib/kube/client.ts';
import { mutatingWebhookConfigurations, resourcePath } from '../../../lib/kube/resources.ts';
import { base64 } from './support.ts';

interface ReviewBody {
  request: { uid: string; object: { spec: { initContainers?: { name: string }[] } } };
}

export interface Meddler {
  /** Pods it was asked about. */
  readonly calls: number;
  stop(): Promise<void>;
}

/** `name` decides its place in the order of webhooks. */
export async function startMeddler(client: KubeClient, name: string, ca: KeyAndCertificate, leaf: KeyAndCertificate): Promise<Meddler> {
  let calls = 0;
  const server = createServer({ key: leaf.key, cert: leaf.certificate }, (request, response) => {
    let text = '';
    request.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    request.on('end', () => {
      calls += 1;
      const { uid, object } = (JSON.parse(text) as ReviewBody).request;
      const init = object.spec.initContainers;
      const value = { name: 'mesh', image: 'mesh:1' };
      const operation =
        init === undefined
          ? { op: 'add', path: '/spec/initContainers', value: [value] }
          : { op: 'add', path: '/spec/initContainers/0', value };
      const patch = init?.some((container) => container.name === 'mesh') === true ? [] : [operation];
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
