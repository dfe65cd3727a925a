import { createHash } from 'node:crypto';
import type { Identity } from '../../lib/identities/identity.ts';
import type { Pod } from '../../lib/identities/pod.ts';

const maxNameLength = 253;

/** Upstream's place for an AzureAssignedIdentity: `default`, or the identity's namespace where matching is namespaced. */
export function assignmentNamespace(identity: Identity, forceNamespaced: boolean): string {
  return forceNamespaced || identity.namespaced ? identity.namespace : 'default';
}

/** Upstream's name. Equal for identities of one name in two namespaces. */
export const plainName = (pod: Pod, identity: Identity): string => `${pod.name}-${pod.namespace}-${identity.name}`;

/**
 * The plain name; with a hash of pod and identity where the name is too long, or where `taken` says that another object has it: pod `a-b` in
 * `c` and pod `a` in `b-c` would share one (docs/reference/aad-pod-identity.md#azureassignedidentity).
 */
export function assignmentName(pod: Pod, identity: Identity, taken: (name: string) => boolean): string {
  const name = plainName(pod, identity);
  if (name.length <= maxNameLength && !taken(name)) return name;
  const hash = createHash('sha256').update(`${pod.key}\n${identity.key}`).digest('hex').slice(0, 10);
  return `${name.slice(0, maxNameLength - hash.length - 1)}-${hash}`;
}
