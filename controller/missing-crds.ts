// Tells which of our kinds the API server does not serve: somebody deleted their CRD, or never installed it. Runs on the leader, also before the caches
// are complete, since they wait for these kinds.
import type { ControllerMetrics } from '../lib/controller/metrics.ts';
import { startRunner } from '../lib/controller/runner.ts';
import type { IdentityInformers } from '../lib/identities/informers.ts';
import type { InstallationReason } from '../lib/identities/reasons.ts';
import type { KubeClient } from '../lib/kube/client.ts';
import { isServed } from '../lib/kube/discovery.ts';
import type { EventRecorder } from '../lib/kube/events.ts';
import { stringAt } from '../lib/kube/objects.ts';
import type { Resource } from '../lib/kube/resources.ts';
import { resourcePath, services } from '../lib/kube/resources.ts';
import type { Logger } from '../lib/log.ts';

export interface MissingCrdsOptions {
  client: KubeClient;
  log: Logger;
  events: Pick<EventRecorder<InstallationReason>, 'record'>;
  informers: { [Kind in 'identities' | 'bindings' | 'exceptions' | 'assignments']: Pick<IdentityInformers[Kind], 'synced' | 'resource'> };
  namespace: string;
  webhookService: string;
}

/** An installation makes the CRDs and the controller within moments. */
const intervalMs = 15_000;
/** The only key. */
const missingCrds = 'missing-crds';

/** Starts at once. */
export function startMissingCrds(options: MissingCrdsOptions & { metrics: ControllerMetrics }): { stop(): Promise<void> } {
  const report = createMissingCrdsReporter(options);
  const runner = startRunner({
    name: missingCrds,
    concurrency: 1,
    async reconcile(_key, { signal }) {
      await report(signal);
      return { requeueAfterMs: intervalMs };
    },
    backoffMs: [1_000, intervalMs],
    log: options.log,
    metrics: options.metrics,
  });
  runner.enqueue(missingCrds);
  return { stop: () => runner.stop() };
}

/** The returned function looks, and tells what it found if that is not what it told before. Throws as the API server answered. */
export function createMissingCrdsReporter(options: MissingCrdsOptions): (signal: AbortSignal) => Promise<void> {
  const { client, log, events, namespace, webhookService: name } = options;
  let told = '';
  return async (signal) => {
    const message = messageAbout(await findMissing(options, signal));
    if (message === told) return;
    if (message === '') {
      log.info('all CRDs are there again');
    } else {
      // kubectl describe shows only Events that have the uid.
      const uid = stringAt(await client.call('GET', resourcePath(services, { namespace, name }), { signal }), 'metadata', 'uid');
      log.error({ hint: message }, 'CRDs are missing');
      events.record({ apiVersion: 'v1', kind: 'Service', namespace, name, uid }, 'Warning', 'CrdsMissing', message);
    }
    told = message;
  };
}

/** Discovery is asked only about kinds whose informer has no list. */
async function findMissing({ client, informers }: MissingCrdsOptions, signal: AbortSignal): Promise<Resource[]> {
  const { identities, bindings, exceptions, assignments } = informers;
  const missing: Resource[] = [];
  for (const { synced, resource } of [identities, bindings, exceptions, assignments])
    if (!synced && !(await isServed(client, resource, signal))) missing.push(resource);
  return missing;
}

/** Empty where nothing is missing. */
function messageAbout(missing: readonly Resource[]): string {
  if (missing.length === 0) return '';
  const crds = missing.map(({ plural, group }) => `${plural}.${group}`).join(', ');
  return (
    `the API server has no CRD ${crds}: nothing is assigned or detached, and pods get only the tokens that their token proxies have already. Install ` +
    'it: helm show crds CHART | kubectl apply --server-side --force-conflicts -f -'
  );
}
