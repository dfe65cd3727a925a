import { stringMapAt } from '../kube/objects.ts';
import { specOf } from '../kube/old-fields.ts';

/** What is kept of an AzurePodIdentityException. */
export interface PodException {
  name: string;
  podLabels: Readonly<Record<string, string>>;
}

export const podLabelsOf = (raw: unknown): Record<string, string> => stringMapAt(specOf(raw), 'podLabels');

/** The exception that applies: any one label is enough, its key exact, its value in any case (docs/reference/aad-pod-identity.md). */
export function matchingException(labels: Readonly<Record<string, string>>, exceptions: Iterable<PodException>): PodException | undefined {
  for (const exception of exceptions) {
    for (const [key, value] of Object.entries(exception.podLabels)) {
      if (Object.hasOwn(labels, key) && labels[key]?.toLowerCase() === value.toLowerCase()) return exception;
    }
  }
  return undefined;
}
