// The Kubernetes objects that a scenario is made of. Nobody runs the nodes and pods: they are objects of the API server only.
import { annotations, bindingLabel, proxyContainerName } from '../../../../api/names.ts';
import type { KubeClient } from '../../../../lib/kube/client.ts';
import { mergePatch } from '../../../../lib/kube/client.ts';
import { isNotFound } from '../../../../lib/kube/errors.ts';
import type { Resource } from '../../../../lib/kube/resources.ts';
import { azureIdentities, azureIdentityBindings, namespaces, nodes, pods, resourcePath } from '../../../../lib/kube/resources.ts';
import { idOf } from '../../azure/fixtures.ts';

export interface Objects {
  createNamespace(name: string): Promise<void>;
  createNode(name: string, providerID: string): Promise<void>;
  /** Of the user-assigned identity with the same name. */
  createIdentity(name: string, spec?: Record<string, unknown>, metadata?: Record<string, unknown>): Promise<void>;
  createBinding(name: string, identity: string, selector: string, namespace?: string): Promise<void>;
  /** Scheduled to `node-0` and injected, by default. */
  createPod(name: string, selector: string, options?: { node?: string; namespace?: string; injected?: boolean }): Promise<void>;
  /** At once, as when its containers have ended. */
  deletePod(name: string, namespace?: string): Promise<void>;
  /** A merge patch of a namespaced object. */
  patch(resource: Resource, name: string, body: Record<string, unknown>, namespace?: string): Promise<void>;
  delete(resource: Resource, name: string, namespace?: string): Promise<void>;
}

/** By which the controller knows an injected pod. */
export const proxyContainer = { name: proxyContainerName, image: 'sidecar' };

const custom = { apiVersion: 'aadpodidentity.k8s.io/v1' };

export function objectsOf(client: KubeClient): Objects {
  const create = async (resource: Resource, body: Record<string, unknown>, namespace?: string) => {
    await client.call('POST', resourcePath(resource, namespace === undefined ? {} : { namespace }), { body });
  };
  return {
    createNamespace: (name) => create(namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } }),
    createNode: (name, providerID) => create(nodes, { apiVersion: 'v1', kind: 'Node', metadata: { name }, spec: { providerID } }),
    createIdentity(name, spec = {}, metadata = {}) {
      const body = {
        ...custom,
        kind: 'AzureIdentity',
        metadata: { name, ...metadata },
        spec: { type: 0, resourceID: idOf(name), ...spec },
      };
      return create(azureIdentities, body, String(metadata.namespace ?? 'default'));
    },
    createBinding(name, identity, selector, namespace = 'default') {
      const body = { ...custom, kind: 'AzureIdentityBinding', metadata: { name }, spec: { azureIdentity: identity, selector } };
      return create(azureIdentityBindings, body, namespace);
    },
    createPod(name, selector, { node = 'node-0', namespace = 'default', injected = true } = {}) {
      const metadata = { name, labels: { [bindingLabel]: selector }, ...(injected ? { annotations: { [annotations.status]: '{}' } } : {}) };
      const spec = { nodeName: node, containers: [...(injected ? [proxyContainer] : []), { name: 'app', image: 'app' }] };
      return create(pods, { apiVersion: 'v1', kind: 'Pod', metadata, spec }, namespace);
    },
    async deletePod(name, namespace = 'default') {
      await client.call('DELETE', resourcePath(pods, { namespace, name }), { body: { gracePeriodSeconds: 0 } });
    },
    async patch(resource, name, body, namespace = 'default') {
      await client.call('PATCH', resourcePath(resource, { namespace, name }), { contentType: mergePatch, body });
    },
    async delete(resource, name, namespace = 'default') {
      await client.call('DELETE', resourcePath(resource, { namespace, name }));
    },
  };
}

/** Whether the API server has no object at this path. */
export async function isAbsent(client: KubeClient, objectPath: string): Promise<boolean> {
  try {
    await client.call('GET', objectPath);
    return false;
  } catch (error) {
    if (isNotFound(error)) return true;
    throw error;
  }
}
