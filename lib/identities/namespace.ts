import { metadataOf } from '../kube/objects.ts';
import { internMap } from './intern.ts';

/** The namespaces that the webhook is never called for (`namespaceSelector` of its configuration). */
export const excludedNamespaces: ReadonlySet<string> = new Set(['kube-system']);

/** What is kept of a Namespace. */
export interface Namespace {
  name: string;
  labels: Readonly<Record<string, string>>;
}

export function namespaceOf(raw: unknown): Namespace | undefined {
  const { name, labels = {} } = metadataOf(raw);
  return name === undefined ? undefined : { name, labels: internMap(labels) };
}
