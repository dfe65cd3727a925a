// Tells which objects are missing that a release of aad-pod-identity had and this release counts on: they go when that release is uninstalled. The
// controller has no right to make them; `helm upgrade` does. Runs on the leader.
import type { ControllerMetrics } from '../lib/controller/metrics.ts';
import { startRunner } from '../lib/controller/runner.ts';
import type { Exception } from '../lib/identities/exceptions.ts';
import type { InstallationReason } from '../lib/identities/reasons.ts';
import type { KubeClient } from '../lib/kube/client.ts';
import { isNotFound } from '../lib/kube/errors.ts';
import type { EventRecorder } from '../lib/kube/events.ts';
import type { Informer } from '../lib/kube/informer.ts';
import { stringAt } from '../lib/kube/objects.ts';
import { clusterRoles, resourcePath, services } from '../lib/kube/resources.ts';
import type { Logger } from '../lib/log.ts';

export interface ExpectedObjectsOptions {
  client: Pick<KubeClient, 'call'>;
  log: Logger;
  events: Pick<EventRecorder<InstallationReason>, 'record'>;
  exceptions: Pick<Informer<Exception>, 'get'>;
  /** The release namespace. */
  namespace: string;
  webhookService: string;
  /** `namespace/name` of AzurePodIdentityExceptions. */
  expectedExceptions: readonly string[];
  expectedClusterRoles: readonly string[];
}

/** An upgrade of the other release may delete an object and make it anew within a moment. */
const intervalMs = 15_000;
/** The only key. */
const expectedObjects = 'expected-objects';

/** Starts at once. The exceptions must have synced. */
export function startExpectedObjects(options: ExpectedObjectsOptions & { metrics: ControllerMetrics }): { stop(): Promise<void> } {
  const report = createExpectedObjectsReporter(options);
  const runner = startRunner({
    name: expectedObjects,
    concurrency: 1,
    async reconcile(_key, { signal }) {
      await report(signal);
      return { requeueAfterMs: intervalMs };
    },
    backoffMs: [1_000, intervalMs],
    log: options.log,
    metrics: options.metrics,
  });
  runner.enqueue(expectedObjects);
  return { stop: () => runner.stop() };
}

/** The returned function looks, and tells what it found if that is not what it told before. Throws as the API server answered. */
export function createExpectedObjectsReporter(options: ExpectedObjectsOptions): (signal: AbortSignal) => Promise<void> {
  const { client, log, events, namespace, webhookService: name } = options;
  let told = '';
  return async (signal) => {
    const missing = await findMissing(options, signal);
    const message = messageAbout(missing, namespace);
    if (message === told) return;
    if (message === '') {
      log.info('expected objects are there again');
    } else {
      // kubectl describe shows only Events that have the uid.
      const uid = stringAt(await client.call('GET', resourcePath(services, { namespace, name }), { signal }), 'metadata', 'uid');
      log.warn({ ...missing, hint: message }, 'expected objects are missing');
      events.record({ apiVersion: 'v1', kind: 'Service', namespace, name, uid }, 'Warning', 'ObjectsMissing', message);
    }
    told = message;
  };
}

interface Missing {
  exceptions: readonly string[];
  clusterRoles: readonly string[];
}

async function findMissing(options: ExpectedObjectsOptions, signal: AbortSignal): Promise<Missing> {
  const roles: string[] = [];
  for (const name of options.expectedClusterRoles) if (!(await exists(options.client, name, signal))) roles.push(name);
  return { exceptions: options.expectedExceptions.filter((key) => options.exceptions.get(key) === undefined), clusterRoles: roles };
}

async function exists(client: Pick<KubeClient, 'call'>, name: string, signal: AbortSignal): Promise<boolean> {
  try {
    await client.call('GET', resourcePath(clusterRoles, { name }), { signal });
    return true;
  } catch (error) {
    if (isNotFound(error)) return false;
    throw error;
  }
}

/** Empty where nothing is missing. */
function messageAbout({ exceptions, clusterRoles: roles }: Missing, namespace: string): string {
  if (exceptions.length + roles.length === 0) return '';
  const kinds = [
    exceptions.length === 0 ? [] : [`AzurePodIdentityException ${exceptions.join(', ')}`],
    roles.length === 0 ? [] : [`ClusterRole ${roles.join(', ')}`],
  ].flat();
  const set = roles.length === 0 ? '' : ' --set rbac.userFacingClusterRoles=create';
  return `${kinds.join(' and ')} missing: deleted, or gone with a release of aad-pod-identity. To make it: helm upgrade RELEASE CHART -n ${namespace} --reuse-values${set}`;
}
