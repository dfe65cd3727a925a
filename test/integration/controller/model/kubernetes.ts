// Runs the commands that concern Kubernetes objects, whatever was there before.
import { setTimeout as delay } from 'node:timers/promises';
import { annotations, bindingLabel } from '../../../../api/names.ts';
import { recordName } from '../../../../controller/scopes/ownership.ts';
import type { KubeClient } from '../../../../lib/kube/client.ts';
import { mergePatch } from '../../../../lib/kube/client.ts';
import { isAlreadyExists, isConflict, isNotFound } from '../../../../lib/kube/errors.ts';
import type { Resource } from '../../../../lib/kube/resources.ts';
import {
  azureIdentities,
  azureIdentityBindings,
  azurePodIdentityExceptions,
  configMaps,
  nodes,
  pods,
  resourcePath,
} from '../../../../lib/kube/resources.ts';
import { idOf, tenant } from '../../azure/fixtures.ts';
import { proxyContainer } from '../harness/objects.ts';
import { providerIdOf, scopeIds } from './fixtures.ts';
import type { Command, IdentityKind } from './history.ts';
import type { ModelPod } from './model.ts';
import { nameOf, namespaceOf } from './model.ts';

export interface ModelledObjects {
  /** `pod`: as the model has it now. Other commands do nothing here. */
  run(command: Command, pod: ModelPod | undefined): Promise<void>;
  delete(resource: Resource, key: string): Promise<void>;
}

export function objectsOf(client: KubeClient): ModelledObjects {
  const placeOf = (key: string) => ({ namespace: namespaceOf(key), name: nameOf(key) });
  const deleteObject = (resource: Resource, key: string) =>
    withRetries(() => client.call('DELETE', resourcePath(resource, placeOf(key)), { body: { gracePeriodSeconds: 0 } }), isNotFound);
  const create = (resource: Resource, body: Record<string, unknown>, namespace?: string) =>
    withRetries(() => client.call('POST', resourcePath(resource, namespace === undefined ? {} : { namespace }), { body }), isAlreadyExists);
  const patch = (path: string, body: unknown) =>
    withRetries(
      () => client.call('PATCH', path, { contentType: mergePatch, body }),
      (error) => isConflict(error) || isNotFound(error),
    );

  /** Null in `spec` or among the annotations: the object must not have it. */
  async function put(resource: Resource, key: string, spec: Record<string, unknown>, values: Record<string, string | null> = {}) {
    const { namespace, name } = placeOf(key);
    const body = { apiVersion: 'aadpodidentity.k8s.io/v1', kind: resource.kind };
    await withRetries(async () => {
      try {
        const change = { metadata: { annotations: values }, spec };
        await client.call('PATCH', resourcePath(resource, { namespace, name }), { contentType: mergePatch, body: change });
      } catch (error) {
        if (!isNotFound(error)) throw error;
        const metadata = { name, annotations: withoutNulls(values) };
        await client.call('POST', resourcePath(resource, { namespace }), { body: { ...body, metadata, spec: withoutNulls(spec) } });
      }
    }, isConflict);
  }

  async function makePod(key: string, { selector, node, injected }: ModelPod): Promise<void> {
    const metadata = {
      name: nameOf(key),
      labels: { [bindingLabel]: selector, webhook: injected ? 'injected' : 'missed' },
      ...(injected ? { annotations: { [annotations.status]: '{}' } } : {}),
    };
    const spec = { nodeName: node, containers: [...(injected ? [proxyContainer] : []), { name: 'app', image: 'app' }] };
    await create(pods, { apiVersion: 'v1', kind: 'Pod', metadata, spec }, namespaceOf(key));
  }

  return {
    delete: deleteObject,
    async run(command, pod) {
      switch (command.do) {
        case 'make pod':
          if (pod !== undefined) await makePod(command.pod, pod);
          return;
        case 'remove pod':
          return deleteObject(pods, command.pod);
        case 'move pod':
          await deleteObject(pods, command.pod);
          if (pod !== undefined) await makePod(command.pod, pod);
          return;
        case 'finish pod':
          return patch(`${resourcePath(pods, placeOf(command.pod))}/status`, { status: { phase: 'Succeeded' } });
        case 'relabel pod':
          return patch(resourcePath(pods, placeOf(command.pod)), { metadata: { labels: { [bindingLabel]: command.selector } } });
        case 'set binding':
          return put(azureIdentityBindings, command.binding, { azureIdentity: nameOf(command.identity), selector: command.selector });
        case 'remove binding':
          return deleteObject(azureIdentityBindings, command.binding);
        case 'set identity':
          return put(azureIdentities, command.identity, identitySpec(command.azure), {
            [annotations.behavior]: command.namespaced ? 'namespaced' : null,
            [annotations.assignment]: modeOf(command.federated),
          });
        case 'switch identity':
          return patch(resourcePath(azureIdentities, placeOf(command.identity)), {
            metadata: { annotations: { [annotations.assignment]: modeOf(command.federated) } },
          });
        case 'remove identity':
          return deleteObject(azureIdentities, command.identity);
        case 'touch identity':
          for (let time = 0; time < command.times; time += 1)
            await patch(resourcePath(azureIdentities, placeOf(command.identity)), {
              metadata: { annotations: { touched: String(Date.now() + time) } },
            });
          return;
        case 'set exception':
          return put(azurePodIdentityExceptions, `${command.namespace}/missed`, { podLabels: { webhook: 'missed' } });
        case 'remove exception':
          return deleteObject(azurePodIdentityExceptions, `${command.namespace}/missed`);
        case 'make node': {
          const spec = { providerID: providerIdOf(command.node) };
          return create(nodes, { apiVersion: 'v1', kind: 'Node', metadata: { name: command.node }, spec });
        }
        case 'remove node':
          return withRetries(() => client.call('DELETE', resourcePath(nodes, { name: command.node })), isNotFound);
        case 'pause record': {
          const path = resourcePath(configMaps, { namespace: 'default', name: recordName(scopeIds[command.scope]) });
          await patch(path, { data: { paused: 'true' } });
          await delay(50);
          return patch(path, { data: { paused: null } });
        }
      }
    },
  };
}

function identitySpec(azure: IdentityKind): Record<string, unknown> {
  const principal = {
    tenantID: tenant,
    clientID: 'dddddddd-0000-4000-8000-000000000001',
    clientPassword: { name: 'secret', namespace: 'default' },
  };
  const absent = Object.fromEntries(Object.keys(principal).map((name) => [name, null]));
  return azure === 'principal' ? { type: 1, resourceID: null, ...principal } : { type: 0, resourceID: idOf(azure), ...absent };
}

/** Absent is attached. */
const modeOf = (federated: boolean): string | null => (federated ? 'federate' : null);

const withoutNulls = (object: Record<string, unknown>) => Object.fromEntries(Object.entries(object).filter(([, value]) => value !== null));

/** Retries while the API server restarts. `isDone`: the error says that the object is in the wanted state. */
async function withRetries(work: () => Promise<unknown>, isDone: (error: unknown) => boolean): Promise<void> {
  for (const deadline = Date.now() + 20_000; ; await delay(50)) {
    try {
      await work();
      return;
    } catch (error) {
      if (isDone(error)) return;
      if (Date.now() > deadline) throw error;
    }
  }
}
