import type { Informer } from '../kube/informer.ts';
import type { Identity } from './identity.ts';
import type { Namespace } from './namespace.ts';
import type { IdentityPolicy } from './policy.ts';
import { isAllowed } from './policy.ts';

/** Whether the policy allows an AzureIdentity, with the labels that its namespace has now. */
export type PolicyCheck = (identity: Identity) => boolean;

export function createPolicyCheck(
  policy: IdentityPolicy | undefined,
  namespaces: Pick<Informer<Namespace>, 'get'> | undefined,
  /** Of the federation records: the managed identities that a client id belongs to. After a move there can be two, and each must be allowed. */
  identityIdsOf: (clientId: string) => readonly string[] = () => [],
): PolicyCheck {
  // Each pod asks for each of its identities with every change of its own.
  const answers = new WeakMap<Identity, { labels: Namespace['labels'] | undefined; ids: string; allowed: boolean }>();
  return (identity) => {
    if (policy === undefined && identity.type !== 3) return true;
    const labels = namespaces?.get(identity.namespace)?.labels;
    const identityIds = identity.type === 3 ? identityIdsOf(identity.clientID) : [];
    const ids = identityIds.join();
    const known = answers.get(identity);
    if (known !== undefined && known.labels === labels && known.ids === ids) return known.allowed;
    const subjects = identityIds.length === 0 ? [identity] : identityIds.map((identityId) => ({ ...identity, identityId }));
    const allowed = subjects.every((subject) => isAllowed(policy, subject, labels));
    answers.set(identity, { labels, ids, allowed });
    return allowed;
  };
}
