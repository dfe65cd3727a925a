// Why a federated identity cannot be used, for users: what failed, then what to do. Pure.
import type { FederationResponse } from '../../api/federation.ts';
import { aadstsMeanings } from '../../lib/azure/auth/aadsts.ts';
import { createCommand } from '../../lib/identities/federation/create-command.ts';
import { hasOurPattern } from '../../lib/identities/federation/credential-name.ts';
import type { FederationRecord } from '../../lib/identities/federation/record.ts';
import { FederationRecordError, isNewCredential } from '../../lib/identities/federation/record.ts';
import type { AssignmentReason } from '../../lib/identities/reasons.ts';
import type { FederatedCredential } from '../azure/arm/federated-credentials.ts';
import { FederationError } from '../azure/arm/federated-credentials.ts';
import type { FederationRetry } from '../azure/arm/federation-refusals.ts';
import { credentialLimit } from '../azure/arm/federation-refusals.ts';
import { deleteCommand, grantCommand } from './commands.ts';
import type { CredentialPlan } from './plan.ts';
import type { FailedProof } from './proof-client.ts';
import { BrokerUnavailableError } from './proof-client.ts';

export interface Failure {
  readonly reason: AssignmentReason;
  readonly message: string;
  readonly retry: FederationRetry | '1 to 30 s';
  readonly retryAfterSeconds?: number | undefined;
}

const issuerUnreachable = 90061;
const unknownApplication = 700016;

/** Undefined for an error of another kind, such as one of the API server. */
export function failureOf(error: unknown, identityId: string): Failure | undefined {
  if (error instanceof FederationError) {
    const { refusal, message, retryAfterSeconds } = error;
    const advice = refusal.advice?.replace('<action>', error.action ?? 'that Azure names');
    const command = error.code === 'missingRole' ? ` (${grantCommand(identityId)})` : '';
    return {
      reason: refusal.reason,
      message: advice === undefined ? message : `${advice}${command}: ${message}`,
      retry: refusal.retry,
      retryAfterSeconds,
    };
  }
  if (error instanceof BrokerUnavailableError) return { reason: 'BrokerUnavailable', message: error.message, retry: '1 to 30 s' };
  if (error instanceof FederationRecordError)
    return { reason: 'AzureError', message: `${error.message}: correct it, or delete it`, retry: '1 min to 1 h' };
  return undefined;
}

export function failureOfPlan(
  { step, record }: CredentialPlan,
  credentials: readonly FederatedCredential[],
  trust: FederationResponse,
): Failure | undefined {
  const { identity } = record;
  switch (step.kind) {
    case 'missing': {
      const command = createCommand(identity, step.name, trust);
      return {
        reason: 'FederatedCredentialMissing',
        message: `${identity} has no federated credential for the broker, and federation.manageCredentials is false: ${command}`,
        retry: '1 min to 1 h',
      };
    }
    case 'limit': {
      const names = credentials.map(({ name }) => (hasOurPattern(name) ? `${name} (perhaps left over from another cluster)` : name));
      return {
        reason: 'FederatedCredentialLimit',
        message: `${identity} has ${credentialLimit} federated credentials, which is Azure's limit: delete one that is no longer used, with ${deleteCommand(identity, '<name>')}. It has ${names.join(', ')}`,
        retry: '1 min to 1 h',
      };
    }
    case 'taken':
      return {
        reason: 'FederationRefused',
        message: `${identity} has the federated credential ${step.name} of somebody else, with the name or with the issuer and subject that the broker needs, but not with all of issuer '${trust.issuer}', subject '${trust.subject}' and audience '${trust.audience}': correct or delete it`,
        retry: '1 min to 1 h',
      };
    default:
      return undefined;
  }
}

/** `now`: milliseconds since the epoch. */
export function failureOfProof({ aadsts, message, retryable }: FailedProof, record: FederationRecord, now: number): Failure {
  const { identity, issuer, subject, audience, credential } = record;
  if (aadsts === issuerUnreachable)
    return {
      reason: 'IssuerUnreachable',
      message: `Entra cannot read the keys of issuer '${issuer}' of this cluster, which must be reachable from the internet: ${message}`,
      retry: '1 to 30 s',
    };
  const isUnknown = aadsts !== undefined && (aadstsMeanings.get(aadsts)?.kind === 'untrusted' || aadsts === unknownApplication);
  if (retryable || (isUnknown && isNewCredential(credential, now)))
    return { reason: 'Federating', message: `Entra does not accept the federated credential yet: ${message}`, retry: '1 to 30 s' };
  const trusted = `issuer '${issuer}', subject '${subject}' and audience '${audience}'`;
  return {
    reason: aadsts === unknownApplication ? 'IdentityNotFound' : 'FederationRefused',
    message: `Entra refuses the broker's token for ${identity}, whose federated credential ${credential?.name} has ${trusted}: ${message}`,
    retry: '1 min to 1 h',
  };
}

/** `failures`: in a row, this one among them. `random`, from 0 to 1, spreads the retries of peers. */
export function retryMsOf({ retry, retryAfterSeconds }: Failure, failures: number, random: () => number): number {
  if (retryAfterSeconds !== undefined) return retryAfterSeconds * 1000 * (1 + random() / 5);
  const doubled = (minMs: number, maxMs: number) => Math.min(maxMs, minMs * 2 ** Math.min(failures - 1, 20)) * (0.5 + random() / 2);
  switch (retry) {
    case '1 to 30 s':
      return doubled(1_000, 30_000);
    case '5 to 30 s':
      return 5_000 + random() * 25_000;
    case '1 min to 1 h':
      return doubled(60_000, 3_600_000);
    case 'when Azure says':
    case '0.5 s to 1 min':
      return doubled(500, 60_000);
  }
}
