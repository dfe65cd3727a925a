// The answer to a pod for an error of Entra: what failed, with which values, then what to do. Pure.
import type { FederationResponse } from '../../api/federation.ts';
import type { Failure } from '../../lib/azure/auth/aadsts.ts';
import type { EntraError } from '../../lib/azure/auth/application-token.ts';
import type { RecordedCredential } from '../../lib/identities/federation/record.ts';
import { BrokerError } from '../error.ts';
import type { FederatedPrincipal } from './principal.ts';

/** Entra's replicas learn of a new credential within this time (docs/reference/entra.md#federated-credentials). */
const propagationMs = 10 * 60_000;
const pauseSeconds = { untrusted: 2, assertion: 10, issuer: 20, loop: 20, throttled: 20, passing: 5 } as const;

/** Entra may not know it yet. `now` is wall time. */
export const isNewCredential = (credential: RecordedCredential | undefined, now: number): boolean =>
  credential !== undefined && now - Date.parse(credential.createdAt) < propagationMs;

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
  const command = createCommand(principal.clientId, identity, trust);
  return new BrokerError('token_failed', `${about}: ${wanted}. Make the credential: ${command}`, { entraError: details.error });
}

function createCommand(clientId: string, identityId: string | undefined, { issuer, subject, audience }: FederationResponse): string {
  if (identityId === undefined) {
    const parameters = JSON.stringify({ name: 'aad-pod-identity', issuer, subject, audiences: [audience] });
    return `az ad app federated-credential create --id ${clientId} --parameters ${quoted(parameters)} (an application), or az identity federated-credential create (a managed identity)`;
  }
  const [, , subscription, , group, , , , name] = identityId.split('/');
  return `az identity federated-credential create --name aad-pod-identity --identity-name ${name} --resource-group ${group} --subscription ${subscription} --issuer ${quoted(issuer)} --subject ${quoted(subject)} --audiences ${quoted(audience)}`;
}

/** For a shell. */
const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;
