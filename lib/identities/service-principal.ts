// Where and as which application to sign in, from an AzureIdentity of type 1 or 2. Whoever may write one in a namespace chooses these values, and the
// broker uses them with its own rights, so each is checked (docs/reference/aad-pod-identity.md). Pure.
import type { AzureIdentity } from '../../api/kinds.ts';
import { bareOriginOf } from '../azure/bare-origin.ts';
import { isClientId, isTenant } from '../azure/entra-names.ts';
import type { PolicySubject } from './policy.ts';
import { notAllowedMessage } from './policy.ts';
import type { InvalidIdentityReason } from './reasons.ts';
import { reasonWithMessage } from './reasons.ts';

export interface ServicePrincipal {
  type: 1 | 2;
  clientId: string;
  /** The own tenant, then the auxiliary ones: a token is made for each. */
  tenantIds: readonly [string, ...string[]];
  /** Origin of Entra, without a trailing slash. */
  authority: string;
  secret: { namespace: string; name: string };
}

export interface ServicePrincipalRules {
  /** Entra of the cluster's cloud: the default, and always allowed. */
  authority: string;
  /** Hosts of every cloud's Entra. */
  knownHosts: readonly string[];
  allowCrossNamespaceSecrets: boolean;
  /** What identityPolicy says of an identity with these ids. */
  isAllowed(subject: PolicySubject): boolean;
}

/** Why there is none. The owner of the AzureIdentity has to correct it. */
export interface ServicePrincipalProblem {
  reason: InvalidIdentityReason;
  message: string;
}

const maxAuxiliaryTenants = 3;
const objectName = /^(?=.{1,253}$)[\da-z]([\da-z.-]*[\da-z])?$/;

export function servicePrincipalOf(
  type: 1 | 2,
  { metadata, spec = {} }: AzureIdentity,
  rules: ServicePrincipalRules,
): ServicePrincipal | ServicePrincipalProblem {
  const key = `${metadata.namespace ?? ''}/${metadata.name ?? ''}`;
  const invalid = (message: string) => ({ reason: 'InvalidServicePrincipal' as const, message: `AzureIdentity ${key}: ${message}` });

  const clientId = spec.clientID?.trim() ?? '';
  if (!isClientId(clientId)) return invalid('clientID must be the GUID of an application');
  const tenantId = spec.tenantID?.trim() ?? '';
  if (!isTenant(tenantId)) return invalid('tenantID must be a GUID or a DNS name');
  // aad-pod-identity takes them for type 1 only, up to three.
  const auxiliary = type === 1 ? (spec.auxiliaryTenantIDs ?? []).map((id) => String(id).trim()) : [];
  if (auxiliary.length > maxAuxiliaryTenants || !auxiliary.every(isTenant))
    return invalid(`auxiliaryTenantIDs must be at most ${maxAuxiliaryTenants} GUIDs or DNS names`);
  // Checked with the very ids that are used below.
  const ids = { identityId: undefined, clientID: clientId, tenantID: tenantId, auxiliaryTenantIDs: auxiliary };
  if (!rules.isAllowed({ namespace: metadata.namespace ?? '', type, ...ids }))
    return { reason: 'IdentityNotAllowed', message: reasonWithMessage('IdentityNotAllowed', notAllowedMessage({ key })) };
  const authority = authorityOf(spec.adEndpoint?.trim() ?? '', rules);
  if (authority === undefined) return invalid('adEndpoint must be the https address of an Azure cloud, without a path');

  const name = spec.clientPassword?.name ?? '';
  const namespace = spec.clientPassword?.namespace || (metadata.namespace ?? '');
  // Both become parts of a path.
  if (!objectName.test(name) || !objectName.test(namespace)) return invalid('clientPassword must name a Secret');
  if (namespace !== metadata.namespace && !rules.allowCrossNamespaceSecrets)
    return {
      reason: 'CrossNamespaceSecret',
      message: `AzureIdentity ${key}: its Secret must be in namespace ${metadata.namespace}, not in another one (setting allowCrossNamespaceSecrets)`,
    };
  return { type, clientId, tenantIds: [tenantId, ...auxiliary], authority, secret: { namespace, name } };
}

/** Any other host would receive the application's secret. */
function authorityOf(adEndpoint: string, { authority, knownHosts }: ServicePrincipalRules): string | undefined {
  if (adEndpoint === '') return authority;
  const origin = bareOriginOf(adEndpoint);
  if (origin === undefined) return undefined;
  const { protocol, host } = new URL(origin);
  const isKnown = knownHosts.includes(host) || host === new URL(authority).host;
  return protocol === 'https:' && isKnown ? origin : undefined;
}
