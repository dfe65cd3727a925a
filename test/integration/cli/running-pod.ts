import { brokerServiceName, proxyContainerName } from '../../../api/names.ts';
import { mergePatch } from '../../../lib/kube/client.ts';
import { endpointSlices, pods, resourcePath } from '../../../lib/kube/resources.ts';
import type { Harness } from '../controller/harness/harness.ts';

export interface RunningPodOptions {
  /** The name of the pod by default. */
  selector?: string;
  namespace?: string;
  injected?: boolean;
}

/** On a node of its own. Its containers run, as far as the API server knows. */
export async function createRunningPod(harness: Harness, name: string, options: RunningPodOptions = {}): Promise<void> {
  const { namespace = 'default', selector = name, injected = true } = options;
  await harness.createPod(name, selector, { node: `node-${name}`, namespace, injected });
  const containerStatuses = [...(injected ? [proxyContainerName] : []), 'app'].map((container) => ({
    name: container,
    state: { running: {} },
    ready: true,
    restartCount: 0,
    image: 'x',
    imageID: 'x',
  }));
  await harness.client.call('PATCH', `${resourcePath(pods, { namespace, name })}/status`, {
    contentType: mergePatch,
    body: { status: { phase: 'Running', containerStatuses } },
  });
}

/** A replica of the broker in `default`, as far as the API server knows. */
export async function createReadyBroker(harness: Harness): Promise<void> {
  const labels = { 'kubernetes.io/service-name': brokerServiceName };
  const body = {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: brokerServiceName, labels },
    addressType: 'IPv4',
    endpoints: [{ addresses: ['10.0.0.1'], conditions: { ready: true } }],
    ports: [],
  };
  await harness.client.call('POST', resourcePath(endpointSlices, { namespace: 'default' }), { body });
}
