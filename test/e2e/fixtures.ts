// Objects for the product tests: identities, bindings, pods and workloads.
import { identities } from '../demo/azure.ts';

/** A List that kubectl applies. */
export const listOf = (items: unknown[]): string => JSON.stringify({ apiVersion: 'v1', kind: 'List', items });

/** An AzureIdentity and a binding for each selector. */
export function identity(name: keyof typeof identities, ...selectors: string[]): unknown[] {
  const api = { apiVersion: 'aadpodidentity.k8s.io/v1' };
  return [
    { ...api, kind: 'AzureIdentity', metadata: { name }, spec: { type: 0, resourceID: identities[name].id } },
    ...selectors.map((selector) => ({
      ...api,
      kind: 'AzureIdentityBinding',
      metadata: { name: `${name}-${selector}` },
      spec: { azureIdentity: name, selector },
    })),
  ];
}

export interface PodParts {
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  spec?: Record<string, unknown>;
  app?: Record<string, unknown>;
}

/** What a template and a pod have in common: an app that sleeps, with our label unless the selector is undefined. */
export function podTemplate(image: string, selector: string | undefined, parts: PodParts = {}) {
  const { labels: others = {}, annotations = {}, spec = {}, app = {} } = parts;
  const container = { name: 'app', image, command: ['sleep', 'infinity'], ...app };
  const labels: Record<string, string> = { ...(selector === undefined ? {} : { aadpodidbinding: selector }), ...others };
  return {
    metadata: { labels, annotations },
    spec: { terminationGracePeriodSeconds: 1, containers: [container], ...spec },
  };
}

export function pod(name: string, template: ReturnType<typeof podTemplate>, namespace = 'default') {
  return { apiVersion: 'v1', kind: 'Pod', ...template, metadata: { name, namespace, ...template.metadata } };
}

/** A Deployment, StatefulSet or DaemonSet. */
export function workload(kind: string, name: string, template: ReturnType<typeof podTemplate>, spec: object = {}) {
  const labels = { ...template.metadata.labels, app: name };
  const labelled = { ...template, metadata: { ...template.metadata, labels } };
  return {
    apiVersion: 'apps/v1',
    kind,
    metadata: { name },
    spec: { selector: { matchLabels: { app: name } }, template: labelled, ...spec },
  };
}
