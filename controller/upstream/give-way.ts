// Two controllers that write the same objects and the same scale sets would undo each other's work. While one of aad-pod-identity runs, ours waits.
import { setTimeout as delay } from 'node:timers/promises';
import type { KubeClient } from '../../lib/kube/client.ts';
import { isNotFound, KubeError } from '../../lib/kube/errors.ts';
import type { EventRecorder } from '../../lib/kube/events.ts';
import { endpoints, resourcePath } from '../../lib/kube/resources.ts';
import type { Logger } from '../../lib/log.ts';
import type { Lock, Sighting } from './lock.ts';
import { isAlive, lockOf, lockPlace, sight } from './lock.ts';

export interface GiveWayOptions {
  client: KubeClient;
  events: EventRecorder;
  log: Logger;
  /** The other one counts as gone when its lock was not renewed for so long. */
  quietMs: number;
  /** Begins the work that must not run beside it. */
  start(): { stop(): Promise<void> };
}

const tellMs = 10 * 60_000;
const longestPollMs = 10_000;

/** Starts the work unless the other controller runs, stops it when that one comes, goes on when it went. */
export function giveWay(options: GiveWayOptions): { stop(): Promise<void> } {
  const { client, events, log, quietMs } = options;
  const stopping = new AbortController();
  const pollMs = Math.min(longestPollMs, quietMs / 4);
  let sighting: Sighting | undefined;
  let work: { stop(): Promise<void> } | undefined;
  let toldAt = Number.NEGATIVE_INFINITY;
  let unreadable = '';
  /** Whether it has ever been answered if there is a lock: before that nothing may start beside a MIC. */
  let answered = false;

  async function look(): Promise<void> {
    try {
      const lock = lockOf(await client.call('GET', resourcePath(endpoints, lockPlace), { signal: stopping.signal, timeoutMs: 10_000 }));
      sighting = lock === undefined ? undefined : sight(sighting, lock, performance.now(), Date.now());
      unreadable = '';
      answered = true;
    } catch (error) {
      if (stopping.signal.aborted) return;
      // A lock that we may not read is an answer: it must not stop a cluster that never had one.
      if (isNotFound(error) || (error instanceof KubeError && error.status === 403)) answered = true;
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

  function tell({ holder }: Lock): void {
    if (performance.now() - toldAt < tellMs) return;
    toldAt = performance.now();
    const message = `MIC ${holder} of aad-pod-identity still renews its lock: nothing is assigned, attached or detached until it is silent for ${quietMs / 1000} s. Scale it down or uninstall it to go on`;
    log.warn({ holder }, message);
    events.record({ apiVersion: 'v1', kind: 'Endpoints', ...lockPlace }, 'Warning', 'UpstreamControllerRuns', message);
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      await look();
      if (stopping.signal.aborted) break;
      if (sighting !== undefined && isAlive(sighting, quietMs, performance.now())) {
        tell(sighting.lock);
        await work?.stop();
        work = undefined;
      } else if (work === undefined && answered) {
        if (toldAt > 0) log.info('the MIC of aad-pod-identity is silent: going on');
        toldAt = Number.NEGATIVE_INFINITY;
        work = options.start();
      }
      await delay(answered ? pollMs : Math.min(pollMs, 1_000), undefined, { signal: stopping.signal }).catch(() => undefined);
    }
    await work?.stop();
  }

  const running = run();
  return {
    async stop() {
      stopping.abort(new Error('stopped'));
      await running;
    },
  };
}
