import { systemClock } from '../common/clock.ts';
import { createStopper } from '../lib/shutdown.ts';
import { createAssignmentClient } from './assignments/client.ts';
import { releaseAll } from './assignments/release-all.ts';
import { runExclusively } from './coexistence/exclusive.ts';
import { createMicDetector } from './coexistence/mic-detector.ts';
import { createOtherReleaseDetector } from './coexistence/other-release-detector.ts';
import { watchInjection } from './injection/watch.ts';
import type { ReconcilersOptions } from './reconcilers.ts';
import { startReconcilers } from './reconcilers.ts';

export interface LeaderOptions extends Omit<ReconcilersOptions, 'compute' | 'ownClientId'> {
  /** Undefined in managed mode: then whoever runs the nodes attaches the identities, and this controller assigns nothing. */
  arm: Pick<ReconcilersOptions, 'compute' | 'ownClientId'> | undefined;
}

const maxConflictPollMs = 10_000;

/** Starts what only the leader does about pods and their identities. To be stopped when the term ends. */
export function onStartedLeading(options: LeaderOptions): { stop(): Promise<void> } {
  const { arm, informers, log } = options;
  const stopper = createStopper(log);
  options.instruments.leaderElections.inc();
  let isStopped = false;

  informers
    .whenSynced()
    .then(() => {
      if (isStopped) return;
      stopper.add('injection watch', watchInjection(options));
      if (arm !== undefined) return;
      const release = startReleaseAll(options);
      stopper.add('release of assignments', () => release.stop());
    })
    .catch((error: unknown) => log.error({ error: String(error) }, 'injection watch not started'));

  if (arm !== undefined) {
    const exclusive = startExclusively(options, () => startReconcilers({ ...options, ...arm }));
    stopper.add('reconcilers', () => exclusive.stop());
  }

  return {
    async stop() {
      isStopped = true;
      await stopper.stop();
    },
  };
}

function startReleaseAll({ client, informers, instruments, log, settings }: LeaderOptions) {
  return releaseAll({
    informers,
    client: createAssignmentClient(client),
    log,
    concurrency: settings.createDeleteBatch,
    metrics: instruments.controllers,
  });
}

/** Neither a MIC of aad-pod-identity nor another release of ours may run beside the reconcilers. */
function startExclusively({ client, events, log, settings }: LeaderOptions, start: () => { stop(): Promise<void> }) {
  const { namespace, webhookConfiguration } = settings;
  const quietMs = settings.upstreamQuiet * 1000;
  return runExclusively({
    events,
    log,
    detectors: [
      createMicDetector({ client, log, clock: systemClock, quietMs }),
      createOtherReleaseDetector({ client, log, namespace, webhookConfiguration }),
    ],
    pollMs: Math.min(maxConflictPollMs, quietMs / 4),
    start,
  });
}
