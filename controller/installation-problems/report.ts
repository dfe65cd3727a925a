// Tells what is wrong with the installation as a whole: an Event on the Service of the webhook, and a log record. Runs on the leader.
import type { ControllerMetrics } from '../../lib/controller/metrics.ts';
import { startRunner } from '../../lib/controller/runner.ts';
import type { InstallationReason } from '../../lib/identities/reasons.ts';
import type { KubeClient } from '../../lib/kube/client.ts';
import type { EventRecorder } from '../../lib/kube/events.ts';
import { stringAt } from '../../lib/kube/objects.ts';
import { resourcePath, services } from '../../lib/kube/resources.ts';
import type { Logger } from '../../lib/log.ts';

export interface ReportOptions {
  client: Pick<KubeClient, 'call'>;
  log: Logger;
  events: Pick<EventRecorder<InstallationReason>, 'record'>;
  /** The release namespace. */
  namespace: string;
  webhookService: string;
}

export interface Problem {
  /** Of the runner. */
  name: string;
  reason: InstallationReason;
  /** For the log. */
  text: string;
  /** What is wrong, with what to do; empty where nothing is. */
  find(signal: AbortSignal): Promise<string>;
}

/** An installation or an upgrade makes objects, or deletes them and makes them anew, within moments. */
const intervalMs = 15_000;

/** Looks at once, and again and again until it is stopped. */
export function startReport(options: ReportOptions & { metrics: ControllerMetrics }, problem: Problem): { stop(): Promise<void> } {
  const { name } = problem;
  const report = createReporter(options, problem);
  const runner = startRunner({
    name,
    concurrency: 1,
    async reconcile(_key, { signal }) {
      await report(signal);
      return { requeueAfterMs: intervalMs };
    },
    backoffMs: [1_000, intervalMs],
    log: options.log,
    metrics: options.metrics,
  });
  // The only key.
  runner.enqueue(name);
  return { stop: () => runner.stop() };
}

/** The returned function looks, and tells what it found if that is not what it told before. Throws as the API server answered. */
export function createReporter(options: ReportOptions, { reason, text, find }: Problem): (signal: AbortSignal) => Promise<void> {
  const { client, log, events, namespace, webhookService: name } = options;
  let told = '';
  return async (signal) => {
    const message = await find(signal);
    if (message === told) return;
    if (message === '') {
      log.info({ reason }, 'mended');
    } else {
      // kubectl describe shows only Events that have the uid.
      const uid = stringAt(await client.call('GET', resourcePath(services, { namespace, name }), { signal }), 'metadata', 'uid');
      log.error({ reason, hint: message }, text);
      events.record({ apiVersion: 'v1', kind: 'Service', namespace, name, uid }, 'Warning', reason, message);
    }
    told = message;
  };
}
