import type { Clock } from '../../common/clock.ts';
import type { KubeClient } from '../../lib/kube/client.ts';
import { isForbidden, isNotFound } from '../../lib/kube/errors.ts';
import { endpoints, resourcePath } from '../../lib/kube/resources.ts';
import type { Logger } from '../../lib/log.ts';
import { onceIn } from '../../lib/once-in.ts';
import type { Conflict, ConflictDetector } from './conflict.ts';
import type { ObservedLock } from './mic-lock.ts';
import { isHeld, lockEndpoints, lockOf, observeLock } from './mic-lock.ts';

const warnMs = 10 * 60_000;

/** Detects a controller (MIC) of aad-pod-identity by the lock that it renews. It counts as gone `quietMs` after the last renewal. */
export function createMicDetector(options: { client: KubeClient; log: Logger; clock: Clock; quietMs: number }): ConflictDetector {
  const { client, log, clock, quietMs } = options;
  const isDue = onceIn(warnMs, clock);
  let observed: ObservedLock | undefined;
  /** Before the first answer a MIC may run that nobody knows of. */
  let isAnswered = false;

  /** An observation that fails leaves the last one. */
  async function observe(signal: AbortSignal): Promise<void> {
    try {
      const lock = lockOf(await client.call('GET', resourcePath(endpoints, lockEndpoints), { signal, timeoutMs: 10_000 }));
      observed = lock === undefined ? undefined : observeLock(observed, lock, clock.now(), clock.wall());
      isAnswered = true;
    } catch (error) {
      if (signal.aborted) return;
      // 403 is an answer too: a cluster that never had a MIC may lack the RBAC rule.
      isAnswered ||= isNotFound(error) || isForbidden(error);
      if (isNotFound(error)) observed = undefined;
      else if (isDue(String(error)))
        log.warn({ ...lockEndpoints, error: String(error) }, 'lock of aad-pod-identity cannot be read: a MIC that runs is not noticed');
    }
  }

  return async (signal) => {
    await observe(signal);
    if (isHeld(observed, quietMs, clock.now())) return conflictWith(observed.lock.holder, quietMs);
    return isAnswered ? 'none' : 'unknown';
  };
}

/** A longer name is cut, because whoever may write the lock chooses it and what to do comes after it. */
const holderLength = 128;

const conflictWith = (holder: string, quietMs: number): Conflict => ({
  regarding: { apiVersion: 'v1', kind: 'Endpoints', ...lockEndpoints },
  reason: 'UpstreamControllerRuns',
  message:
    `MIC ${holder.slice(0, holderLength)} of aad-pod-identity still renews its lock: nothing is assigned, attached, federated or detached until it is silent for ` +
    `${quietMs / 1000} s. Scale it down or uninstall it to go on. If no MIC runs, somebody else writes this annotation: find out who ` +
    `(kubectl get endpoints ${lockEndpoints.name} -n ${lockEndpoints.namespace} -o yaml --show-managed-fields) and set controller.ignoreUpstreamLock=true`,
});
