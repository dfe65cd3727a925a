// What an AzureIdentity of type 1 or 2 says about where and as whom to sign in. Anyone who may write one in a namespace chooses these
// values, and the controller acts on them with its own rights: so each is checked (spec/aad-pod-identity.md 3.10, P10-P13).
import type { AzureIdentity } from '../api/kinds.ts';
import { Refusal } from './refusal.ts';

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
  /** Entra of the controller's own cloud: used where the identity names none, and always allowed. */
  authority: string;
  /** Hosts of every cloud's Entra. */
  knownHosts: readonly string[];
  allowCrossNamespaceSecrets: boolean;
}

/** A setting of the AzureIdentity that only its owner can mend. */
export class IdentityRefused extends Refusal {
  /** For the Event on the AzureIdentity. */
  readonly reason: 'InvalidServicePrincipal' | 'CrossNamespaceSecret';

  constructor(reason: IdentityRefused['reason'], message: string) {
    super('token_failed', message);
    this.reason = reason;
  }
}

const guid = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i;
const dnsName = /^(?=.{4,253}$)([\da-z]([\da-z-]{0,61}[\da-z])?\.)+[a-z][\da-z-]{0,61}[\da-z]$/i;
const maxAuxiliaryTenants = 3;
const objectName = /^(?=.{1,253}$)[\da-z]([\da-z.-]*[\da-z])?$/;

/** Throws {@link IdentityRefused}; or a plain {@link Refusal} for an identity of type 0, whose tokens come from IMDS. */
export function servicePrincipalOf({ metadata, spec = {} }: AzureIdentity, rules: ServicePrincipalRules): ServicePrincipal {
  const { type } = spec;
  const key = `${metadata.namespace ?? ''}/${metadata.name ?? ''}`;
  if (type !== 1 && type !== 2)
    throw new Refusal('bad_request', `${key} is of type ${type ?? 0}: the broker makes tokens for types 1 and 2`);
  const refuse = (message: string) => new IdentityRefused('InvalidServicePrincipal', `AzureIdentity ${key}: ${message}`);

  const clientId = spec.clientID?.trim() ?? '';
  if (!guid.test(clientId)) throw refuse('clientID must be the GUID of an application');
  const isTenant = (id: string) => guid.test(id) || dnsName.test(id);
  const tenantId = spec.tenantID?.trim() ?? '';
  if (!isTenant(tenantId)) throw refuse('tenantID must be a GUID or a DNS name');
  // Upstream has them for secrets only; its library took up to three.
  const auxiliary = type === 1 ? (spec.auxiliaryTenantIDs ?? []).map((id) => String(id).trim()) : [];
  if (auxiliary.length > maxAuxiliaryTenants || !auxiliary.every(isTenant))
    throw refuse(`auxiliaryTenantIDs must be at most ${maxAuxiliaryTenants} GUIDs or DNS names`);
  const authority = authorityOf(spec.adEndpoint?.trim() ?? '', rules);
  if (authority === undefined) throw refuse('adEndpoint must be the https address of an Azure cloud, without a path');

  const name = spec.clientPassword?.name ?? '';
  const namespace = spec.clientPassword?.namespace || (metadata.namespace ?? '');
  // Both become parts of a path.
  if (!objectName.test(name) || !objectName.test(namespace)) throw refuse('clientPassword must name a Secret');
  if (namespace !== metadata.namespace && !rules.allowCrossNamespaceSecrets)
    throw new IdentityRefused(
      'CrossNamespaceSecret',
      `AzureIdentity ${key}: its Secret must be in namespace ${metadata.namespace}, not in another one (setting allowCrossNamespaceSecrets)`,
    );
  return { type, clientId, tenantIds: [tenantId, ...auxiliary], authority, secret: { namespace, name } };
}

/** Elsewhere the application's secret would be sent to whom the identity names. */
function authorityOf(adEndpoint: string, { authority, knownHosts }: ServicePrincipalRules): string | undefined {
  if (adEndpoint === '') return authority;
  if (!URL.canParse(adEndpoint)) return undefined;
  const url = new URL(adEndpoint);
  const isBare = url.pathname === '/' && url.search === '' && url.hash === '' && url.username === '' && url.password === '';
  const isKnown = knownHosts.includes(url.host) || url.host === new URL(authority).host;
  return url.protocol === 'https:' && isBare && isKnown ? url.origin : undefined;
}
