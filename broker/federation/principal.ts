// As which client, and in which tenant, the broker signs in for a federated identity. The assertion is every identity for an hour, so it goes nowhere but
// to the Entra of the settings.

import { bareOriginOf } from '../../lib/azure/bare-origin.ts';
import type { FederationRecord } from '../../lib/identities/federation/record.ts';
import type { FederationRecords } from '../../lib/identities/federation/records.ts';
import type { Identity } from '../../lib/identities/identity.ts';
import { notAllowedMessage } from '../../lib/identities/policy.ts';
import type { PolicyCheck } from '../../lib/identities/policy-check.ts';
import { reasonWithMessage } from '../../lib/identities/reasons.ts';
import { BrokerError } from '../error.ts';
import { InvalidIdentityError } from '../service-principal.ts';
import { problemOfClaims } from './claims.ts';

export interface FederatedPrincipal {
  clientId: string;
  tenantId: string;
  /** Of the controller; undefined where the author of the AzureIdentity named client and tenant. */
  record: FederationRecord | undefined;
}

export interface PrincipalRules {
  /** Origin of the Entra of the settings. */
  authority: string;
  managed: boolean;
  records: FederationRecords;
  isAllowed: PolicyCheck;
  isAllowedAsClaimed: PolicyCheck;
}

/** Throws {@link InvalidIdentityError} where the owner of the AzureIdentity has to correct it, or another {@link BrokerError}. */
export function federatedPrincipalOf(identity: Identity, rules: PrincipalRules): FederatedPrincipal {
  const { key, type, identityId } = identity;
  if (!rules.isAllowed(identity))
    throw new InvalidIdentityError('IdentityNotAllowed', reasonWithMessage('IdentityNotAllowed', notAllowedMessage(identity)));
  const endpoint = identity.object.spec?.adEndpoint?.trim() ?? '';
  if (endpoint !== '' && bareOriginOf(endpoint) !== rules.authority)
    throw new InvalidIdentityError(
      'InvalidFederatedIdentity',
      `AzureIdentity ${key}: adEndpoint must be absent or ${rules.authority}: a federated identity signs in at the Entra of the cluster only`,
    );
  if (type === 3) return claimed(identity, rules.isAllowed);
  if (type !== 0) throw new BrokerError('bad_request', `${key} is of type ${type}: it cannot be federated`);
  if (rules.managed) return claimed(identity, rules.isAllowedAsClaimed);
  const record = identityId === undefined ? undefined : rules.records.of(identityId);
  if (record?.provenAt === undefined)
    throw new BrokerError('not_ready', `the federated credential of ${key} has not been proven, as far as this replica knows: try again`);
  return { clientId: record.clientId, tenantId: record.tenantId, record };
}

function claimed(identity: Identity, isAllowed: PolicyCheck): FederatedPrincipal {
  const problem = problemOfClaims(identity, isAllowed);
  if (problem?.reason === 'IdentityNotAllowed')
    throw new InvalidIdentityError('IdentityNotAllowed', reasonWithMessage('IdentityNotAllowed', problem.message));
  if (problem !== undefined) throw new InvalidIdentityError('InvalidFederatedIdentity', problem.message);
  return { clientId: identity.clientID, tenantId: identity.tenantID.trim(), record: undefined };
}
