// Lets the API server call a webhook of this machine as one of a cluster: by a Service, which means HTTP/1.1
// (docs/reference/kubernetes.md#calls-to-webhooks).
import type { KubeClient } from '../../../lib/kube/client.ts';
import { mergePatch } from '../../../lib/kube/client.ts';
import { mutatingWebhookConfigurations, resourcePath, services } from '../../../lib/kube/resources.ts';
import { benchNamespace } from './pod-load.ts';

/** In the certificate of the webhook. */
export const dnsNameOf = (name: string): string => `${name}.${benchNamespace}.svc`;

/** Changes all entries of a webhook configuration, which may have had a `url`. */
export async function callByService(
  client: KubeClient,
  configuration: string,
  { name, port }: { name: string; port: number },
): Promise<void> {
  const path = resourcePath(mutatingWebhookConfigurations, { name: configuration });
  await client.call('POST', resourcePath(services, { namespace: benchNamespace }), {
    body: { apiVersion: 'v1', kind: 'Service', metadata: { name }, spec: { type: 'ExternalName', externalName: 'localhost' } },
  });
  const { webhooks } = (await client.call('GET', path)) as { webhooks: { clientConfig: { url: string; caBundle: string } }[] };
  const changed = webhooks.map((entry) => {
    const { url, caBundle } = entry.clientConfig;
    return { ...entry, clientConfig: { service: { namespace: benchNamespace, name, port, path: new URL(url).pathname }, caBundle } };
  });
  await client.call('PATCH', path, { contentType: mergePatch, body: { webhooks: changed } });
}
