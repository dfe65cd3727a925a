// Whether a webhook is there to be called, from the EndpointSlices of its Service.
import type { KubeClient } from '../../lib/kube/client.ts';
import { startInformer } from '../../lib/kube/informer.ts';
import { at, isRecord, stringAt } from '../../lib/kube/objects.ts';
import { endpointSlices } from '../../lib/kube/resources.ts';
import type { Logger } from '../../lib/log.ts';

export interface WebhookEndpoints {
  /** A pod behind the Service is ready, which it is once it serves its certificate. False before the first list. */
  readonly ready: boolean;
  /** Of the Service, whom its EndpointSlices name as owner. */
  readonly serviceUid: string | undefined;
  stop(): Promise<void>;
}

export interface WebhookEndpointsOptions {
  client: KubeClient;
  log: Logger;
  namespace: string;
  service: string;
  /** Called when `ready` may have changed. */
  onChange(): void;
}

export function watchWebhookEndpoints({ client, log, namespace, service, onChange }: WebhookEndpointsOptions): WebhookEndpoints {
  const slices = startInformer({
    client,
    log,
    resource: endpointSlices,
    namespace,
    labelSelector: `kubernetes.io/service-name=${service}`,
    project: (raw) => ({ ready: hasReadyEndpoint(raw), serviceUid: ownerOf(raw) }),
  });
  slices.onChange(({ before, after }) => {
    if (before?.ready !== after?.ready) onChange();
  });
  return {
    get ready() {
      return [...slices.values()].some((slice) => slice.ready);
    },
    get serviceUid() {
      return [...slices.values()].find((slice) => slice.serviceUid !== undefined)?.serviceUid;
    },
    stop: () => slices.stop(),
  };
}

/** A condition that is not given counts as true: https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/#conditions. */
function hasReadyEndpoint(slice: unknown): boolean {
  const endpoints = at(slice, 'endpoints');
  return (
    Array.isArray(endpoints) && endpoints.some((endpoint: unknown) => isRecord(endpoint) && at(endpoint, 'conditions', 'ready') !== false)
  );
}

function ownerOf(slice: unknown): string | undefined {
  const owners = at(slice, 'metadata', 'ownerReferences');
  return Array.isArray(owners)
    ? stringAt(
        owners.find((owner: unknown) => stringAt(owner, 'kind') === 'Service'),
        'uid',
      )
    : undefined;
}
