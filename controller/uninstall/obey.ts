// What the leader does while an uninstall asks it to detach everything: that, instead of its usual work.
import { uninstallRequestName } from '../../api/names.ts';
import type { Clock } from '../../common/clock.ts';
import type { ControllerMetrics } from '../../lib/controller/metrics.ts';
import { startRunner } from '../../lib/controller/runner.ts';
import type { KubeClient } from '../../lib/kube/client.ts';
import { startInformer } from '../../lib/kube/informer.ts';
import { metadataOf } from '../../lib/kube/objects.ts';
import { configMaps } from '../../lib/kube/resources.ts';
import type { Logger } from '../../lib/log.ts';
import { readRequest } from './request.ts';

interface Work {
  stop(): Promise<void>;
}

export interface ObeyOptions {
  client: KubeClient;
  log: Logger;
  clock: Clock;
  /** Of the request. */
  namespace: string;
  metrics?: ControllerMetrics | undefined;
  usual(): Work;
  /** Runs while a request counts. Neither begins before the other one has stopped. */
  detaching(): Work;
}

const key = 'uninstall';

/**
 * Begins once the API server has said whether there is a request, so that a leader which takes over in the middle of an uninstall attaches nothing.
 * The request ends by its date, so that an uninstall which was killed does not stop the next release.
 */
export function obeyUninstall({ client, log, clock, namespace, metrics, usual, detaching }: ObeyOptions): Work {
  let work: Work | undefined;
  let isDetaching: boolean | undefined;

  const runner = startRunner({
    name: key,
    concurrency: 1,
    async reconcile(_key, { signal }) {
      const remainingMs = ((await readRequest(client, namespace)) ?? 0) - clock.wall();
      if (signal.aborted) return {};
      const isRequested = remainingMs > 0;
      if (isRequested !== isDetaching) {
        await work?.stop();
        if (isRequested)
          log.warn({ remainingMs: Math.round(remainingMs) }, 'uninstall: detaching everything that this controller attached');
        else if (isDetaching !== undefined) log.warn('uninstall ended: assigning again');
        work = isRequested ? detaching() : usual();
        isDetaching = isRequested;
      }
      return isRequested ? { requeueAfterMs: remainingMs } : {};
    },
    log,
    metrics,
    clock,
  });
  const informer = startInformer({
    client,
    log,
    resource: configMaps,
    namespace,
    fieldSelector: `metadata.name=${uninstallRequestName}`,
    project: (raw) => metadataOf(raw).resourceVersion,
  });
  informer.onChange(() => runner.enqueue(key));
  runner.enqueue(key);

  return {
    async stop() {
      await Promise.all([runner.stop(), informer.stop()]);
      await work?.stop();
    },
  };
}
