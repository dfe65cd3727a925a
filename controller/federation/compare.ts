// Compares the credentials of an identity with what the broker's token needs, writes the difference, and lets the broker prove it.

import { isDeepStrictEqual } from 'node:util';
import type { FederationResponse } from '../../api/federation.ts';
import { issuerProblemOf } from '../../lib/identities/federation/issuer.ts';
import type { FederationRecord } from '../../lib/identities/federation/record.ts';
import { FederationError } from '../azure/arm/federated-credentials.ts';
import type { FederationContext } from './context.ts';
import type { Failure } from './failure.ts';
import { failureOfPlan, failureOfProof } from './failure.ts';
import type { CredentialPlan } from './plan.ts';
import { isProofDue, planCredential } from './plan.ts';
import { isRefreshDue } from './state.ts';
import { removeCredentials } from './unused.ts';

/** How a comparison ended. `lost`: the identity has no credential for the broker. */
export type Compared =
  | { kind: 'proven'; record: FederationRecord }
  | { kind: 'failed'; failure: Failure; lost: boolean }
  | { kind: 'interrupted' };

/** Throws what {@link failureOf} knows, and what the API server says. */
export async function compareCredentials(context: FederationContext, trust: FederationResponse): Promise<Compared> {
  const { credentials, identity, signal, manageCredentials, clock } = context;
  const problem = issuerProblemOf(trust.issuer);
  if (problem !== undefined)
    return { kind: 'failed', failure: { reason: 'IssuerNotPublic', message: problem, retry: '1 min to 1 h' }, lost: false };
  const [ids, present] = await Promise.all([credentials.getIdentity(identity, signal), credentials.list(identity, signal)]);
  const now = new Date(clock.wall());
  const { record } = context.stored;
  const plan = planCredential({ record, identity, ids, trust, credentials: present, manage: manageCredentials, now });
  if (plan.step.kind === 'put' && !context.mayWrite()) return { kind: 'interrupted' };
  const failure = failureOfPlan(plan, present, trust);
  // Without a credential there is nothing to remember, unless there was something before.
  if (failure === undefined || record !== undefined) await saveRecord(context, plan.record);
  if (failure !== undefined) return { kind: 'failed', failure, lost: true };
  if (plan.step.kind === 'put') {
    // The API server can take long.
    if (!context.mayWrite()) return { kind: 'interrupted' };
    await putCredential(context, plan.record, plan.step.name);
  }
  return prove(context, plan);
}

async function putCredential(context: FederationContext, record: FederationRecord, name: string): Promise<void> {
  const { credentials, identity, signal, log } = context;
  const { issuer, subject, audience } = record;
  try {
    await credentials.put(identity, name, { issuer, subject, audiences: [audience] }, signal);
    log.info({ identity, credential: name, issuer, subject }, 'federated credential written');
  } catch (error) {
    // Azure began nothing, so what has the name later may be another writer's.
    if (isRefusal(error)) await saveRecord(context, { ...record, credential: undefined, provenAt: undefined });
    throw error;
  }
}

async function prove(context: FederationContext, { record }: CredentialPlan): Promise<Compared> {
  if (!isProofDue(record) && !isRefreshDue(context.entry.state)) return { kind: 'proven', record };
  const { broker, signal, clock, log, identity, proofResource } = context;
  const { tenantId, clientId } = record;
  const result = await broker.prove({ tenantId, clientId, resource: proofResource }, signal);
  if (result.outcome === 'failed') {
    const { aadsts, error, message } = result;
    log.warn({ identity, aadsts, error, message }, 'federated credential not proven');
    return { kind: 'failed', failure: failureOfProof(result, record, clock.wall()), lost: false };
  }
  const proven = { ...record, provenAt: new Date(clock.wall()).toISOString() };
  await saveRecord(context, proven);
  return { kind: 'proven', record: proven };
}

/** Credentials for subjects that the broker no longer has, once their delay is over. Returns when to try again after a failure. */
export async function removeFormer(context: FederationContext, record: FederationRecord): Promise<number | undefined> {
  const due = record.former.filter(({ unusedSince }) => Date.parse(unusedSince) + context.detachDelayMs <= context.clock.wall());
  if (due.length === 0 || !context.manageCredentials || !context.mayWrite()) return undefined;
  const names = due.map(({ name }) => name);
  const retryMs = await removeCredentials(context, record, names);
  if (retryMs !== undefined) return retryMs;
  await saveRecord(context, { ...record, former: record.former.filter(({ name }) => !names.includes(name)) });
  return undefined;
}

async function saveRecord(context: FederationContext, record: FederationRecord): Promise<void> {
  if (isDeepStrictEqual(context.stored.record, record)) return;
  context.stored = await context.store.save(context.stored, record);
}

/** These say nothing of the write that a former leader may have sent before. */
const undecided = [408, 409, 429];

const isRefusal = (error: unknown): boolean =>
  error instanceof FederationError &&
  error.status !== undefined &&
  error.status >= 400 &&
  error.status < 500 &&
  !undecided.includes(error.status);
