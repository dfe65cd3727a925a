// What the author of an AzureIdentity says about client and tenant, where nothing else says it: for type 3, and for a federated type 0 in managed mode.

import { isClientId, isTenant } from '../../lib/azure/entra-names.ts';
import type { Identity } from '../../lib/identities/identity.ts';
import type { PolicyCheck } from '../../lib/identities/policy-check.ts';

export interface ClaimProblem {
  reason: 'IdentityNotAllowed' | 'FederationRefused';
  message: string;
}

/** Undefined where the broker may sign in with these claims. */
export function problemOfClaims(identity: Identity, isAllowed: PolicyCheck): ClaimProblem | undefined {
  const { key, clientID, tenantID, type } = identity;
  const refused = (what: string): ClaimProblem => ({ reason: 'FederationRefused', message: `AzureIdentity ${key}: ${what}` });
  if (!isClientId(clientID)) return refused('clientID must be the GUID of an application or managed identity');
  if (!isTenant(tenantID.trim())) return refused('tenantID must be a GUID or a DNS name');
  if (isAllowed(identity)) return undefined;
  const needed = type === 0 ? 'allows its resourceID and names its clientID and its tenantID' : 'names its clientID and its tenantID';
  const message = `AzureIdentity ${key} needs an entry of identityPolicy that ${needed}, without *: ask whoever runs the cluster`;
  return { reason: 'IdentityNotAllowed', message };
}
