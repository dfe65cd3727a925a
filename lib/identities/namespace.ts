import { metadataOf } from '../kube/objects.ts';
import { internMap } from './intern.ts';

/** The namespaces that the webhook is never called for (`namespaceSelector` of its configuration). */
export const excludedNamespaces: ReadonlySet<string> = new Set(['kube-system']);

/** Whether the webhook is never called for a namespace: by its name, or by a label that AKS adds to the selector of every webhook. */
export const isExcludedNamespace = (name: string, labels: Readonly<Record<string, string>>): boolean =>
  excludedNamespaces.has(name) || labels['control-plane'] === 'true' || labels['kubernetes.azure.com/managedby'] === 'aks';

/** What is kept of a Namespace. */
export interface Namespace {
  name: string;
  labels: Readonly<Record<string, string>>;
}

export function namespaceOf(raw: unknown): Namespace | undefined {
  const { name, labels = {} } = metadataOf(raw);
  return name === undefined ? undefined : { name, labels: internMap(labels) };
}
