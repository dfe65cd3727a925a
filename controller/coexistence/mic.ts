// Whether a controller (MIC) of aad-pod-identity runs: by the lock that it renews.
import type { KubeClient } from '../../lib/kube/client.ts';
import { isForbidden, isNotFound } from '../../lib/kube/errors.ts';
import { endpoints, resourcePath } from '../../lib/kube/resources.ts';
import type { Logger } from '../../lib/log.ts';
import type { Look } from './give-way.ts';
import type { Sighting } from './mic-lock.ts';
import { isAlive, lockOf, lockPlace, sight } from './mic-lock.ts';

/** The MIC counts as gone when its lock was not renewed for `quietMs`. */
export function lookForMic({ client, log, quietMs }: { client: KubeClient; log: Logger; quietMs: number }): Look {
  let sighting: Sighting | undefined;
  let unreadable = '';
  /** Whether it has ever been answered if there is a lock: before that nothing may start beside a MIC. */
  let answered = false;

  async function read(signal: AbortSignal): Promise<void> {
    try {
      const lock = lockOf(await client.call('GET', resourcePath(endpoints, lockPlace), { signal, timeoutMs: 10_000 }));
      sighting = lock === undefined ? undefined : sight(sighting, lock, performance.now(), Date.now());
      unreadable = '';
      answered = true;
    } catch (error) {
      if (signal.aborted) return;
      // A lock that we may not read is an answer: it must not stop a cluster that never had one.
      if (isNotFound(error) || isForbidden(error)) answered = true;
      // What was seen last still counts.
      if (isNotFound(error)) sighting = undefined;
      else if (unreadable !== String(error)) {
        unreadable = String(error);
        log.warn(
          { endpoints: `${lockPlace.namespace}/${lockPlace.name}`, error: unreadable },
          'cannot see whether an aad-pod-identity MIC runs',
        );
      }
    }
  }

  return async (signal) => {
    await read(signal);
    if (sighting === undefined || !isAlive(sighting, quietMs, performance.now())) return answered ? 'none' : 'unknown';
    const { holder } = sighting.lock;
    return {
      regarding: { apiVersion: 'v1', kind: 'Endpoints', ...lockPlace },
      reason: 'UpstreamControllerRuns',
      message: `MIC ${holder} of aad-pod-identity still renews its lock: nothing is assigned, attached or detached until it is silent for ${quietMs / 1000} s. Scale it down or uninstall it to go on`,
    };
  };
}
