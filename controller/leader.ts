// Everything about assignments that only the leader does. Starts when leadership begins, stops when it ends.
import { createStopper } from '../lib/shutdown.ts';
import type { AssigningContext } from './assigning.ts';
import { startAssigning } from './assigning.ts';
import { watchInjection } from './injection/watch.ts';
import { giveWay } from './upstream/give-way.ts';

export interface LeaderContext extends Omit<AssigningContext, 'compute' | 'ownClientId'> {
  /** Undefined in managed mode: identities are attached by whoever runs the nodes, and nothing is written that a MIC could disagree with. */
  arm: Pick<AssigningContext, 'compute' | 'ownClientId'> | undefined;
}

export function lead(context: LeaderContext): { stop(): Promise<void> } {
  const { client, world, events, log, settings } = context;
  const stopper = createStopper(log);
  context.measures.leaderElections.inc();

  let stopped = false;
  world
    .whenSynced()
    .then(() => {
      if (!stopped) stopper.add('injection', watchInjection({ world, events, log }));
    })
    .catch((error: unknown) => log.error({ error: String(error) }, 'injected pods are not watched'));

  const { arm } = context;
  if (arm !== undefined) {
    const way = giveWay({
      client,
      events,
      log,
      quietMs: settings.upstreamQuiet * 1000,
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
