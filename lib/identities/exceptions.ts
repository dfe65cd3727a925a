import { injectedLabel } from '../../api/names.ts';
import { keyOf } from '../kube/informer.ts';
import { metadataOf, stringMapAt } from '../kube/objects.ts';
import { specOf } from '../kube/old-fields.ts';

/** What decides whether a pod is excepted. */
export interface PodException {
  name: string;
  podLabels: Readonly<Record<string, string>>;
}

/** What is kept of an AzurePodIdentityException. */
export interface Exception extends PodException {
  key: string;
  namespace: string;
  uid?: string | undefined;
}

export function exceptionOf(raw: unknown): Exception | undefined {
  const metadata = metadataOf(raw);
  if (metadata.namespace === undefined || metadata.name === undefined) return undefined;
  const podLabels = stringMapAt(specOf(raw), 'podLabels');
  return { key: keyOf(metadata), namespace: metadata.namespace, name: metadata.name, uid: metadata.uid, podLabels };
}

/**
 * The exception that applies to a pod with these labels. One label of it is enough; its key has to be equal, its value equal but for case
 * (docs/reference/aad-pod-identity.md). The marker is no label of the user's: the webhook would see the pod without it and later programs with it.
 */
export function matchingException<T extends PodException>(
  labels: Readonly<Record<string, string>>,
  exceptions: Iterable<T>,
): T | undefined {
  for (const exception of exceptions) {
    for (const [key, value] of Object.entries(exception.podLabels)) {
      if (key !== injectedLabel && Object.hasOwn(labels, key) && labels[key]?.toLowerCase() === value.toLowerCase()) return exception;
    }
  }
  return undefined;
}
