// The request of an uninstall to the leader: a ConfigMap of the release namespace that counts until its date (docs/adr/0035-uninstall.md).
import { uninstallRequestName } from '../../api/names.ts';
import type { KubeClient } from '../../lib/kube/client.ts';
import { mergePatch } from '../../lib/kube/client.ts';
import { isAlreadyExists, isNotFound } from '../../lib/kube/errors.ts';
import { stringAt } from '../../lib/kube/objects.ts';
import { configMaps, resourcePath } from '../../lib/kube/resources.ts';

/** What writes and removes it needs of a call. */
export interface RequestCall {
  timeoutMs?: number;
}

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

/** Replaces one that an earlier uninstall left. */
export async function writeRequest(client: KubeClient, namespace: string, until: Date, call: RequestCall = {}): Promise<void> {
  const data = { until: until.toISOString() };
  const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: uninstallRequestName, namespace }, data };
  try {
    await client.call('POST', resourcePath(configMaps, { namespace }), { ...call, body });
  } catch (error) {
    if (!isAlreadyExists(error)) throw error;
    await client.call('PATCH', pathOf(namespace), { ...call, contentType: mergePatch, body: { data } });
  }
}

export async function removeRequest(client: KubeClient, namespace: string, call: RequestCall = {}): Promise<void> {
  try {
    await client.call('DELETE', pathOf(namespace), { ...call, body: { apiVersion: 'v1', kind: 'DeleteOptions' } });
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}
