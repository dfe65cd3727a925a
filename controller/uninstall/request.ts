// The request of an uninstall to the leader: a ConfigMap of the chart, whose date says until when it counts (docs/adr/0035-uninstall.md).
import { uninstallRequestName } from '../../api/names.ts';
import type { KubeClient } from '../../lib/kube/client.ts';
import { mergePatch } from '../../lib/kube/client.ts';
import { isNotFound } from '../../lib/kube/errors.ts';
import { stringAt } from '../../lib/kube/objects.ts';
import { configMaps, resourcePath } from '../../lib/kube/resources.ts';

const pathOf = (namespace: string) => resourcePath(configMaps, { namespace, name: uninstallRequestName });

/** Milliseconds since the epoch until which the request counts; undefined where there is none. Throws as a call to the API server does. */
export async function readRequest(client: KubeClient, namespace: string): Promise<number | undefined> {
  try {
    const until = Date.parse(stringAt(await client.call('GET', pathOf(namespace)), 'data', 'until') ?? '');
    return Number.isNaN(until) ? undefined : until;
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

/** Throws as a call to the API server does, also where the chart's ConfigMap is gone. */
export async function writeRequest(client: KubeClient, namespace: string, until: Date): Promise<void> {
  await client.call('PATCH', pathOf(namespace), { contentType: mergePatch, body: { data: { until: until.toISOString() } } });
}

export async function withdrawRequest(client: KubeClient, namespace: string): Promise<void> {
  try {
    await client.call('PATCH', pathOf(namespace), { contentType: mergePatch, body: { data: { until: null } } });
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}
