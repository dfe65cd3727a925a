// The answer to a pod for an error of Entra: what failed, with which values, then what to do. Pure.
import type { FederationResponse } from '../../api/federation.ts';
import type { Failure } from '../../lib/azure/auth/aadsts.ts';
import type { EntraError } from '../../lib/azure/auth/application-token.ts';
import { createCommand, quoted } from '../../lib/identities/federation/create-command.ts';
import { isNewCredential } from '../../lib/identities/federation/record.ts';
import { BrokerError } from '../error.ts';
import type { FederatedPrincipal } from './principal.ts';

/** A proposal: any name serves. */
const credentialName = 'aad-pod-identity';
const pauseSeconds = { untrusted: 2, assertion: 10, issuer: 20, loop: 20, throttled: 20, passing: 5 } as const;

export interface FailureContext {
  /** `namespace/name` of the AzureIdentity. */
  identity: string;
  principal: FederatedPrincipal;
  trust: FederationResponse;
  /** Wall time, ms. */
  now: number;
}

export function brokerErrorOf({ details, message }: EntraError, failure: Failure, context: FailureContext): BrokerError {
  const { principal, trust, now } = context;
  const about = `AzureIdentity ${context.identity}, client id ${principal.clientId} in tenant ${principal.tenantId}`;
  const said = `${failure.hint === '' ? '' : `${failure.hint}. `}Entra: ${message}`;
  if (failure.kind === 'refused') return new BrokerError('token_failed', `${about}: ${said}`, { entraError: details.error });
  const retryAfterSeconds = details.retryAfterSeconds ?? pauseSeconds[failure.kind];
  const passing = (text: string) => new BrokerError('token_failed', text, { status: 503, retryAfterSeconds });
  if (failure.kind !== 'untrusted') return passing(`${about}: ${said}`);

  const { credential, identity } = principal.record ?? {};
  const wanted = `${said}. Presented were issuer ${trust.issuer}, subject ${trust.subject} and audience ${trust.audience}`;
  if (isNewCredential(credential, now))
    return passing(`${about}: the federated credential is of ${credential?.createdAt}, and Entra takes some minutes to know it. ${wanted}`);
  if (credential?.owned === true)
    return passing(`${about}: ${wanted}. This was reported to the controller, which makes the credential anew`);
  const command = identity === undefined ? applicationCommand(principal.clientId, trust) : createCommand(identity, credentialName, trust);
  return new BrokerError('token_failed', `${about}: ${wanted}. Make the credential: ${command}`, { entraError: details.error });
}

function applicationCommand(clientId: string, { issuer, subject, audience }: FederationResponse): string {
  const parameters = JSON.stringify({ name: credentialName, issuer, subject, audiences: [audience] });
  return `az ad app federated-credential create --id ${clientId} --parameters ${quoted(parameters)} (an application), or az identity federated-credential create (a managed identity)`;
}
