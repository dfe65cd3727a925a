// A sidecar reports to the broker that IMDS contradicts an assigned identity, and only the leader reads Azure. Both watch the AzureAssignedIdentity, so
// an annotation on it carries the report.
import { annotations } from '../../api/names.ts';
import type { KubeClient } from '../kube/client.ts';
import { mergePatch } from '../kube/client.ts';
import { azureAssignedIdentities, resourcePath } from '../kube/resources.ts';
import type { Assignment } from './assignment.ts';

/** Writes the report. Throws as a call to the API server does. */
export async function reportImdsMismatch(client: KubeClient, { namespace, name, metadata }: Assignment, now: Date): Promise<void> {
  // With the uid, so that a report never reaches a later object of the same name.
  const body = { metadata: { uid: metadata.uid, annotations: { [annotations.reportedAt]: now.toISOString() } } };
  await client.call('PATCH', resourcePath(azureAssignedIdentities, { namespace, name }), { contentType: mergePatch, body });
}

/** True where this change of the object is a report. */
export function isMismatchReport(before: Assignment | undefined, after: Assignment | undefined): boolean {
  const reportedAt = (assignment: Assignment | undefined) => assignment?.metadata.annotations?.[annotations.reportedAt];
  return before !== undefined && reportedAt(after) !== undefined && reportedAt(after) !== reportedAt(before);
}
