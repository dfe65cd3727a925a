import { brokerServiceName, proxyContainerName } from '../../../api/names.ts';
import { mergePatch } from '../../../lib/kube/client.ts';
import { pods, resourcePath } from '../../../lib/kube/resources.ts';
import { createEndpointSlice } from '../../harness/endpoint-slice.ts';
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
export const createReadyBroker = ({ client }: Harness): Promise<void> =>
  createEndpointSlice(client, { namespace: 'default', name: brokerServiceName, service: brokerServiceName });
