// Where and as which application to sign in, from an AzureIdentity of type 1 or 2. Whoever may write one in a namespace chooses these values, and the
// broker uses them with its own rights, so each is checked (docs/reference/aad-pod-identity.md).
import type { AzureIdentity } from '../api/kinds.ts';
import type { PolicySubject } from '../lib/identities/policy.ts';
import { notAllowedMessage } from '../lib/identities/policy.ts';
import type { InvalidIdentityReason } from '../lib/identities/reasons.ts';
import { reasonWithMessage } from '../lib/identities/reasons.ts';
import { bareOriginOf } from './bare-origin.ts';
import { isClientId, isTenant } from './entra-names.ts';
import { BrokerError } from './error.ts';

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

/** The owner of the AzureIdentity has to correct it. */
export class InvalidIdentityError extends BrokerError {
  override readonly name = 'InvalidIdentityError';
  /** For the Event on the AzureIdentity. */
  readonly reason: InvalidIdentityReason;

  constructor(reason: InvalidIdentityReason, message: string) {
    super('token_failed', message);
    this.reason = reason;
  }
}

const maxAuxiliaryTenants = 3;
const objectName = /^(?=.{1,253}$)[\da-z]([\da-z.-]*[\da-z])?$/;

/** Throws {@link InvalidIdentityError}, or another {@link BrokerError} for an identity of another type. */
export function parseServicePrincipal({ metadata, spec = {} }: AzureIdentity, rules: ServicePrincipalRules): ServicePrincipal {
  const { type } = spec;
  const key = `${metadata.namespace ?? ''}/${metadata.name ?? ''}`;
  if (type !== 1 && type !== 2) throw new BrokerError('bad_request', `${key} is of type ${type ?? 0}: it has no Secret to sign in with`);
  const invalid = (message: string) => new InvalidIdentityError('InvalidServicePrincipal', `AzureIdentity ${key}: ${message}`);

  const clientId = spec.clientID?.trim() ?? '';
  if (!isClientId(clientId)) throw invalid('clientID must be the GUID of an application');
  const tenantId = spec.tenantID?.trim() ?? '';
  if (!isTenant(tenantId)) throw invalid('tenantID must be a GUID or a DNS name');
  // aad-pod-identity takes them for type 1 only, up to three.
  const auxiliary = type === 1 ? (spec.auxiliaryTenantIDs ?? []).map((id) => String(id).trim()) : [];
  if (auxiliary.length > maxAuxiliaryTenants || !auxiliary.every(isTenant))
    throw invalid(`auxiliaryTenantIDs must be at most ${maxAuxiliaryTenants} GUIDs or DNS names`);
  // Checked with the very ids that are used below.
  const ids = { identityId: undefined, clientID: clientId, tenantID: tenantId, auxiliaryTenantIDs: auxiliary };
  if (!rules.isAllowed({ namespace: metadata.namespace ?? '', type, ...ids }))
    throw new InvalidIdentityError('IdentityNotAllowed', reasonWithMessage('IdentityNotAllowed', notAllowedMessage({ key })));
  const authority = authorityOf(spec.adEndpoint?.trim() ?? '', rules);
  if (authority === undefined) throw invalid('adEndpoint must be the https address of an Azure cloud, without a path');

  const name = spec.clientPassword?.name ?? '';
  const namespace = spec.clientPassword?.namespace || (metadata.namespace ?? '');
  // Both become parts of a path.
  if (!objectName.test(name) || !objectName.test(namespace)) throw invalid('clientPassword must name a Secret');
  if (namespace !== metadata.namespace && !rules.allowCrossNamespaceSecrets)
    throw new InvalidIdentityError(
      'CrossNamespaceSecret',
      `AzureIdentity ${key}: its Secret must be in namespace ${metadata.namespace}, not in another one (setting allowCrossNamespaceSecrets)`,
    );
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
