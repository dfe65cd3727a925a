// What a failed call to Azure means for the scope: which identities are to blame, what the user reads, when to try again. Pure.
import type { AssignmentReason } from '../../lib/identities/reasons.ts';
import type { ArmFailure } from '../azure/arm/errors.ts';
import { ArmError, isClientFault } from '../azure/arm/errors.ts';

export interface Diagnosis {
  code: ArmFailure['code'];
  reason: AssignmentReason;
  /** For the object and the Event: what failed and, where a person must act, what to do. */
  message: string;
  /** Identities (lower-case ids) that made Azure refuse the whole write; the others go on without them. */
  culprits: ReadonlySet<string>;
  /** Undefined: the delay grows with the number of failures. */
  retryMs: number | undefined;
}

/** True where an identity of the write may be to blame, named or not: then a search for it is worthwhile. */
export const mayBlameIdentities = (error: unknown): boolean =>
  error instanceof ArmError &&
  (error.failure.code === 'badIdentities' || (error.failure.code === 'unknown' && isClientFault(error.status, error.azureCode ?? '')));

/** `attempted`: the ids of the write, all of them. `random`, from 0 to 1, spreads the retries of peers. */
export function diagnose(error: unknown, attempted: readonly string[], random: () => number): Diagnosis {
  const failure: ArmFailure = error instanceof ArmError ? error.failure : { code: 'unknown' };
  const original = error instanceof Error ? error.message : String(error);
  const diagnosis = (reason: AssignmentReason, retryMs?: number, advice?: string): Diagnosis => ({
    code: failure.code,
    reason,
    message: advice === undefined ? original : `${advice}: ${original}`,
    culprits: new Set(),
    retryMs,
  });

  switch (failure.code) {
    case 'throttled':
      return diagnosis('Throttled', failure.retryAfterSeconds * 1000 * (1 + random() / 5));
    case 'badIdentities': {
      const reason = failure.reason === 'missingRole' ? 'MissingRole' : failure.reason === 'denied' ? 'DenyAssignment' : 'IdentityNotFound';
      const named = failure.ids.filter((id) => attempted.includes(id));
      const culprits = named.length === 0 && attempted.length === 1 ? attempted : named;
      // A failure that names nobody is final for nobody but an identity that was alone in its write.
      if (culprits.length === 0) return { ...diagnosis('AzureError'), message: unnamedMessage };
      return { ...diagnosis(reason, undefined, adviceOn[failure.reason]), culprits: new Set(culprits) };
    }
    case 'missingRole':
      return diagnosis('MissingRole', minutes(1), 'grant the controller the role Virtual Machine Contributor on the node resource group');
    case 'denyAssignment':
      return diagnosis('DenyAssignment', minutes(10), 'the node resource group is locked against changes');
    // Another writer was faster. Nothing is wrong: the next reconciliation starts from what that writer left.
    case 'preconditionFailed':
      return diagnosis('Attaching', 100);
    case 'conflict':
    case 'canceled':
      return diagnosis('Attaching', 5_000 + random() * 25_000);
    case 'notFound':
      return diagnosis('AzureError', minutes(1), 'the scale set or virtual machine is gone');
    case 'unauthorized':
    case 'operationLost':
      return diagnosis('AzureError');
    case 'unknown':
      return mayBlameIdentities(error) && attempted.length > 1
        ? { ...diagnosis('AzureError'), message: unnamedMessage }
        : diagnosis('AzureError');
    case 'signInFailed':
    case 'transient':
      return diagnosis('AzureError', failure.retryAfterSeconds === undefined ? undefined : failure.retryAfterSeconds * 1000);
  }
}

// Without Azure's text: it may hold a part of an id, such as a resource group, of any namespace in the write. The log has it.
const unnamedMessage = 'Azure refused a write of several identities and named none of them, so parts of it are tried one by one';

const adviceOn: Partial<Record<Extract<ArmFailure, { code: 'badIdentities' }>['reason'], string>> = {
  missingRole: 'grant the controller the role Managed Identity Operator on the identity',
  notFound: 'Azure knows no such identity: make it there, or correct spec.resourceID of the AzureIdentity',
  otherTenant: "the identity's subscription does not exist or belongs to another tenant, from which nothing can be attached",
};

const minutes = (count: number): number => count * 60_000;
