// What a failed call to Azure means for the scope: who is to blame, what the user is told, when to try again. Pure.

import type { AssignmentReason } from '../../lib/identities/reasons.ts';
import type { ArmFailure } from '../azure/arm/errors.ts';
import { ArmError } from '../azure/arm/errors.ts';

export interface Verdict {
  code: ArmFailure['code'];
  reason: AssignmentReason;
  /** For the object and the Event: what happened and, where a person must act, what to do. */
  message: string;
  /** Identities (lower-case ids) that made Azure refuse the whole write; the others go on without them. */
  culprits: ReadonlySet<string>;
  /** Undefined: grow with the number of failures. */
  retryMs: number | undefined;
}

/** True where some identity of the write may be to blame, named or not: only then is it worth finding out which. */
export const blames = (error: unknown): boolean =>
  error instanceof ArmError && (error.failure.code === 'badIdentities' || (error.failure.code === 'unknown' && error.status === 400));

/** `tried`: the ids of the write. `random` spreads retries of peers, from 0 to 1. */
export function judgeFailure(error: unknown, tried: readonly string[], random: () => number): Verdict {
  const failure: ArmFailure = error instanceof ArmError ? error.failure : { code: 'unknown' };
  const said = error instanceof Error ? error.message : String(error);
  const verdict = (reason: AssignmentReason, retryMs?: number, advice?: string): Verdict => ({
    code: failure.code,
    reason,
    message: advice === undefined ? said : `${advice}: ${said}`,
    culprits: new Set(),
    retryMs,
  });

  switch (failure.code) {
    case 'throttled':
      return verdict('Throttled', failure.retryAfterSeconds * 1000 * (1 + random() / 5));
    case 'badIdentities': {
      const reason = failure.reason === 'missingRole' ? 'MissingRole' : failure.reason === 'denied' ? 'DenyAssignment' : 'IdentityNotFound';
      const advice = adviceOn[failure.reason];
      const named = failure.ids.filter((id) => tried.includes(id));
      return { ...verdict(reason, undefined, advice), culprits: new Set(named) };
    }
    case 'missingRole':
      return verdict('MissingRole', minutes(1), 'grant the controller the role Virtual Machine Contributor on the node resource group');
    case 'denyAssignment':
      return verdict('DenyAssignment', minutes(10), 'the node resource group is locked against changes');
    // Another writer was faster: nothing is wrong, the next pass starts from what it left.
    case 'preconditionFailed':
      return verdict('Attaching', 100);
    case 'conflict':
    case 'canceled':
      return verdict('Attaching', 5_000 + random() * 25_000);
    case 'notFound':
      return verdict('AzureError', minutes(1), 'the scale set or virtual machine is gone');
    case 'unauthorized':
    case 'operationLost':
    case 'unknown':
      return verdict('AzureError');
    case 'signInFailed':
    case 'transient':
      return verdict('AzureError', failure.retryAfterSeconds === undefined ? undefined : failure.retryAfterSeconds * 1000);
  }
}

const adviceOn: Partial<Record<Extract<ArmFailure, { code: 'badIdentities' }>['reason'], string>> = {
  missingRole: 'grant the controller the role Managed Identity Operator on the identity',
  notFound: 'Azure knows no such identity: make it there, or correct spec.resourceID of the AzureIdentity',
  otherTenant: "the identity's subscription does not exist or belongs to another tenant, from which nothing can be attached",
};

/** Milliseconds until the next try, after so many failures in a row. */
export function retryDelay(error: unknown, verdict: Verdict, failures: number, random: () => number): number {
  // What failed because of one identity is tried again at once without it.
  if (blames(error)) return 100;
  // Another writer that is faster again and again gets out of the way no sooner if we hurry (design 7).
  if (verdict.code === 'preconditionFailed' && failures > 2) return 5_000 + random() * 25_000;
  return verdict.retryMs ?? Math.min(60_000, 500 * 2 ** Math.min(failures, 8)) * (0.5 + random() / 2);
}

const minutes = (count: number): number => count * 60_000;
