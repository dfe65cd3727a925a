// An identity that no pod needs any more: its credentials go after the delay, and the record with them.
import type { ReconcileResult } from '../../lib/controller/reconcile.ts';
import type { FederationRecord } from '../../lib/identities/federation/record.ts';
import type { FederatedCredential } from '../azure/arm/federated-credentials.ts';
import { FederationError } from '../azure/arm/federated-credentials.ts';
import type { FederationContext } from './context.ts';
import { interruptedMs } from './context.ts';
import { failureOf, retryMsOf } from './failure.ts';
import { blocked, failed } from './state.ts';

export async function reconcileUnused(context: FederationContext, now: number): Promise<ReconcileResult> {
  const { store, identity, log } = context;
  const { record } = context.stored;
  if (record === undefined) return { done: true };
  if (record.unusedSince === undefined) {
    context.stored = await store.save(context.stored, { ...record, unusedSince: new Date(now).toISOString() });
    return { requeueAfterMs: context.detachDelayMs };
  }
  const remainingMs = Date.parse(record.unusedSince) + context.detachDelayMs - now;
  if (remainingMs > 0) return { requeueAfterMs: remainingMs };
  if (!context.mayWrite()) return { requeueAfterMs: interruptedMs };
  const names = ownedNames(record);
  if (context.manageCredentials && names.length > 0) {
    // From here on no pod may count on the credential: a leader that takes over does not know whether it is gone.
    if (record.provenAt !== undefined) context.stored = await store.save(context.stored, { ...record, provenAt: undefined });
    const retryMs = await removeCredentials(context, record, names);
    if (retryMs !== undefined) return { requeueAfterMs: retryMs };
  }
  await store.remove(identity, context.stored);
  log.info({ identity, credentials: names, kept: !context.manageCredentials }, 'federated identity released');
  return { done: true };
}

/**
 * Deletes credentials of ours that are still what we made. Returns the milliseconds until the next try; undefined: all are gone. Throws what is no
 * failure of Azure.
 */
export async function removeCredentials(
  context: FederationContext,
  record: FederationRecord,
  names: readonly string[],
): Promise<number | undefined> {
  const { credentials, identity, signal, log, entry, random, clock } = context;
  const waitMs = entry.state.blockedUntil - clock.wall();
  if (waitMs > 0) return waitMs;
  try {
    const present = await credentials.list(identity, signal);
    for (const credential of present.filter(({ name }) => names.includes(name))) {
      if (!isOurs(credential, record)) {
        log.warn({ identity, credential: credential.name }, 'federated credential is kept: somebody gave it another subject');
        continue;
      }
      // The list can take long, and the next leader may count on the credential by now.
      if (!context.mayWrite()) return interruptedMs;
      await credentials.remove(identity, credential.name, signal);
      log.info({ identity, credential: credential.name }, 'federated credential deleted');
    }
    return undefined;
  } catch (error) {
    // It went with its identity.
    if (error instanceof FederationError && error.code === 'identityNotFound') return undefined;
    const failure = failureOf(error, identity);
    if (failure === undefined) throw error;
    entry.state = failed(entry.state, failure, '');
    const retryMs = retryMsOf(failure, entry.state.failures, random);
    entry.state = blocked(entry.state, clock.wall() + retryMs);
    log.warn({ identity, error: failure.message, retryMs: Math.round(retryMs) }, 'federated credential not deleted');
    return retryMs;
  }
}

export function ownedNames({ credential, former }: FederationRecord): string[] {
  return [...(credential?.owned === true ? [credential.name] : []), ...former.map(({ name }) => name)];
}

/** The subject is the same for every issuer that the cluster had. A credential with another one was changed by somebody. */
const isOurs = ({ subject }: FederatedCredential, record: FederationRecord): boolean => subject === record.subject;
