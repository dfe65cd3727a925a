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
): PolicyCheck {
  // Each pod asks for each of its identities with every change of its own.
  const answers = new WeakMap<Identity, { labels: Namespace['labels'] | undefined; allowed: boolean }>();
  return (identity) => {
    if (policy === undefined) return true;
    const labels = namespaces?.get(identity.namespace)?.labels;
    const known = answers.get(identity);
    if (known !== undefined && known.labels === labels) return known.allowed;
    const allowed = isAllowed(policy, identity, labels);
    answers.set(identity, { labels, allowed });
    return allowed;
  };
}
