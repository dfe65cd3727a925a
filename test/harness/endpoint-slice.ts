import type { KubeClient } from '../../lib/kube/client.ts';
import { endpointSlices, resourcePath } from '../../lib/kube/resources.ts';

export interface EndpointSliceOptions {
  namespace: string;
  name: string;
  /** Name of the Service. */
  service: string;
  ready?: boolean;
}

/** As the API server would make it of a pod behind the Service. */
export async function createEndpointSlice(
  client: KubeClient,
  { namespace, name, service, ready = true }: EndpointSliceOptions,
): Promise<void> {
  await client.call('POST', resourcePath(endpointSlices, { namespace }), {
    body: {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name, labels: { 'kubernetes.io/service-name': service } },
      addressType: 'IPv4',
      endpoints: [{ addresses: ['10.0.0.1'], conditions: { ready } }],
    },
  });
}
