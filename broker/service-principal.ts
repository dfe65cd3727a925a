// As lib/identities/service-principal.ts, with errors of the broker.
import type { AzureIdentity } from '../api/kinds.ts';
import type { InvalidIdentityReason } from '../lib/identities/reasons.ts';
import type { ServicePrincipal, ServicePrincipalRules } from '../lib/identities/service-principal.ts';
import { servicePrincipalOf } from '../lib/identities/service-principal.ts';
import { BrokerError } from './error.ts';

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

/** Throws {@link InvalidIdentityError}, or another {@link BrokerError} for an identity of another type. */
export function parseServicePrincipal(identity: AzureIdentity, rules: ServicePrincipalRules): ServicePrincipal {
  const { metadata, spec } = identity;
  const type = spec?.type;
  if (type !== 1 && type !== 2)
    throw new BrokerError(
      'bad_request',
      `${metadata.namespace ?? ''}/${metadata.name ?? ''} is of type ${type ?? 0}: it has no Secret to sign in with`,
    );
  const found = servicePrincipalOf(type, identity, rules);
  if ('reason' in found) throw new InvalidIdentityError(found.reason, found.message);
  return found;
}
