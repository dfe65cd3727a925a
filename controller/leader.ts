// Everything about assignments that only the leader does. Starts when leadership begins, stops when it ends.
import { createStopper } from '../lib/shutdown.ts';
import type { AssigningContext } from './assigning.ts';
import { startAssigning } from './assigning.ts';
import { writeAssignedIdentities } from './assignments/client.ts';
import { releaseLeftOver } from './assignments/release-all.ts';
import { giveWay } from './coexistence/give-way.ts';
import { lookForMic } from './coexistence/mic.ts';
import { lookForOtherRelease } from './coexistence/other-release.ts';
import { watchInjection } from './injection/watch.ts';

export interface LeaderContext extends Omit<AssigningContext, 'compute' | 'ownClientId'> {
  /** Undefined in managed mode: identities are attached by whoever runs the nodes, and nothing is written that a MIC could disagree with. */
  arm: Pick<AssigningContext, 'compute' | 'ownClientId'> | undefined;
}

const longestPollMs = 10_000;

export function lead(context: LeaderContext): { stop(): Promise<void> } {
  const { client, informers, events, log, settings } = context;
  const stopper = createStopper(log);
  context.measures.leaderElections.inc();

  let stopped = false;
  informers
    .whenSynced()
    .then(() => {
      if (stopped) return;
      stopper.add('injection', watchInjection({ informers, events, log }));
      if (context.arm !== undefined) return;
      const leftOver = releaseLeftOver({ informers, objects: writeAssignedIdentities(client), log });
      stopper.add('left-over assignments', () => leftOver.stop());
    })
    .catch((error: unknown) => log.error({ error: String(error) }, 'injected pods are not watched'));

  const { arm } = context;
  if (arm !== undefined) {
    const { namespace, webhookConfiguration } = settings;
    const quietMs = settings.upstreamQuiet * 1000;
    const way = giveWay({
      events,
      log,
      looks: [lookForMic({ client, log, quietMs }), lookForOtherRelease({ client, log, namespace, webhookConfiguration })],
      pollMs: Math.min(longestPollMs, quietMs / 4),
      start: () => startAssigning({ ...context, ...arm }),
    });
    stopper.add('assignment', () => way.stop());
  }

  return {
    async stop() {
      stopped = true;
      await stopper.stop();
    },
  };
}
