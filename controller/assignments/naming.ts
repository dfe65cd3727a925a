import { createHash } from 'node:crypto';
import type { Identity, Pod } from '../../lib/identities/objects.ts';

const maxNameLength = 253;

/** Upstream's place for an AzureAssignedIdentity: `default`, or the identity's namespace where matching is namespaced. */
export function assignmentNamespace(identity: Identity, forceNamespaced: boolean): string {
  return forceNamespaced || identity.namespaced ? identity.namespace : 'default';
}

/**
 * Upstream's name, `<pod>-<pod namespace>-<identity>`. With a hash of all three where the name is too long, or where `taken` says that the object of
 * another pod has it: pod `a-b` in `c` and pod `a` in `b-c` would share one (docs/reference/aad-pod-identity.md#azureassignedidentity).
 */
export function assignmentName(pod: Pod, identity: Identity, taken: (name: string) => boolean): string {
  const name = `${pod.name}-${pod.namespace}-${identity.name}`;
  if (name.length <= maxNameLength && !taken(name)) return name;
  const hash = createHash('sha256').update(`${pod.key}\n${identity.key}`).digest('hex').slice(0, 10);
  return `${name.slice(0, maxNameLength - hash.length - 1)}-${hash}`;
}
