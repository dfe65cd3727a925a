// A sidecar reports to whichever replica it is connected to, but only the leader looks at Azure: the object that both of them watch carries the report.
import { annotations } from '../../api/names.ts';
import type { KubeClient } from '../kube/client.ts';
import { mergePatch } from '../kube/client.ts';
import { azureAssignedIdentities, resourcePath } from '../kube/resources.ts';
import type { Assignment } from './objects.ts';

/** Says on the object that IMDS does not know what it stands for. Throws as a call to the API server does. */
export async function recordDoubt(client: KubeClient, { namespace, name, metadata }: Assignment, now: Date): Promise<void> {
  // The uid: a report about an object is none about the next one of that name.
  const body = { metadata: { uid: metadata.uid, annotations: { [annotations.reportedAt]: now.toISOString() } } };
  await client.call('PATCH', resourcePath(azureAssignedIdentities, { namespace, name }), { contentType: mergePatch, body });
}

/** True where this change of the object is a report. */
export function isDoubt(before: Assignment | undefined, after: Assignment | undefined): boolean {
  const reportedAt = (assignment: Assignment | undefined) => assignment?.metadata.annotations?.[annotations.reportedAt];
  return before !== undefined && reportedAt(after) !== undefined && reportedAt(after) !== reportedAt(before);
}
