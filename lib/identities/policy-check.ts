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
  /** Of the federation records: the managed identity that a client id belongs to. */
  identityIdOf: (clientId: string) => string | undefined = () => undefined,
): PolicyCheck {
  // Each pod asks for each of its identities with every change of its own.
  const answers = new WeakMap<Identity, { labels: Namespace['labels'] | undefined; identityId: string | undefined; allowed: boolean }>();
  return (identity) => {
    if (policy === undefined && identity.type !== 3) return true;
    const labels = namespaces?.get(identity.namespace)?.labels;
    const identityId = identity.type === 3 ? identityIdOf(identity.clientID) : identity.identityId;
    const known = answers.get(identity);
    if (known !== undefined && known.labels === labels && known.identityId === identityId) return known.allowed;
    const allowed = isAllowed(policy, { ...identity, identityId }, labels);
    answers.set(identity, { labels, identityId, allowed });
    return allowed;
  };
}
