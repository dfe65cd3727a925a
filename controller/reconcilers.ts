// Makes pods, objects and Azure agree, from its start until it is stopped: the assigner and one worker for each ARM scope.
import { setTimeout as delay } from 'node:timers/promises';
import { systemClock } from '../common/clock.ts';
import type { Informers } from '../lib/identities/informers.ts';
import { podOf } from '../lib/identities/objects.ts';
import { backoff } from '../lib/kube/backoff.ts';
import type { KubeClient } from '../lib/kube/client.ts';
import { isNotFound } from '../lib/kube/errors.ts';
import type { EventRecorder } from '../lib/kube/events.ts';
import { pods, resourcePath } from '../lib/kube/resources.ts';
import type { Logger } from '../lib/log.ts';
import { createStopper } from '../lib/shutdown.ts';
import { writeAssignedIdentities } from './assignments/client.ts';
import { createDemand } from './assignments/desired-state.ts';
import { observeWrites } from './assignments/observed-client.ts';
import { runAssigner } from './assignments/reconciler.ts';
import type { Compute } from './azure/arm/compute.ts';
import type { Measures } from './metrics/instruments.ts';
import { measureCompute } from './metrics/measured-compute.ts';
import { startScopes } from './scopes/controller.ts';
import { isProtected } from './scopes/protected.ts';

import type { ControllerSettings } from './settings.ts';

export interface AssigningContext {
  client: KubeClient;
  informers: Informers;
  compute: Compute;
  /** Of the managed identity that the controller itself signs in with now. */
  ownClientId(): string | undefined;
  events: EventRecorder;
  measures: Measures;
  log: Logger;
  settings: ControllerSettings;
  /** Time that leadership still lasts, ms. */
  remainingMs(): number;
}

/** A PATCH must be sent well before another replica could take over. */
const writeMarginMs = 5_000;

export function startAssigning(context: AssigningContext): { stop(): Promise<void> } {
  const { informers, log, settings } = context;
  const client = whileLeading(context);
  const stopper = createStopper(log);
  const stopping = new AbortController();
  const objects = observeWrites(writeAssignedIdentities(client), context.events, context.measures);
  const demand = createDemand();

  const scopes = startScopes({
    client,
    namespace: settings.namespace,
    log,
    clock: systemClock,
    random: Math.random,
    needsOf: demand.needsOf,
    scopeOf: demand.scopeOf,
    assignmentOf: (need) => informers.assignmentOf(need.pod.key, need.match.identity.key),
    compute: measureCompute(context.compute, context.measures),
    statuses: objects,
    events: context.events,
    mayWrite: () => context.remainingMs() > Math.min(writeMarginMs, (settings.leaseRenew * 1000) / 2),
    isProtected: (id, clientId) => isProtected([...settings.immutableUserMsis, context.ownClientId() ?? ''], id, clientId),
    detachDelayMs: settings.identityLinger * 1000,
    adoptAttached: settings.adoptAttached,
    debounce: { quietMs: settings.collectQuiet, maxMs: settings.collectMax },
    intervalMs: settings.identityAssignmentReconcileInterval * 1000,
    onAzureCalled: (durationMs) => {
      context.measures.cycle.count.inc();
      context.measures.cycle.seconds.observe(durationMs / 1000);
    },
  });
  stopper.add('scopes', () => scopes.stop());

  async function begin(): Promise<void> {
    // Without complete caches a pod that was not read yet would look gone, and its identity unused.
    await informers.whenSynced();
    if (stopping.signal.aborted) return;
    const assigner = runAssigner({
      informers,
      demand,
      objects,
      events: context.events,
      log,
      rules: { forceNamespaced: settings.forceNamespaced, assignUninjected: settings.assignUninjected },
      podIsGone: (namespace, name) => takesNoPart(client, namespace, name),
      concurrency: settings.createDeleteBatch,
      onScope: (scopeId) => scopes.enqueue(scopeId),
      onDoubt: (scopeId) => scopes.refresh(scopeId),
    });
    stopper.add('assigner', () => assigner.stop());
    await resumeRecorded();
  }

  /** A scope that nothing needs any more is known from its record only: giving up here would leave its identities attached. */
  async function resumeRecorded(): Promise<void> {
    for (const retry = backoff(200, 30_000); !stopping.signal.aborted; ) {
      try {
        return await scopes.enqueueRecorded();
      } catch (error) {
        const pause = retry.next();
        log.warn({ error: String(error), retryMs: Math.round(pause) }, 'scope records cannot be listed');
        await delay(pause, undefined, { signal: stopping.signal }).catch(() => undefined);
      }
    }
  }

  begin().catch((error: unknown) => log.error({ error: String(error) }, 'could not begin to assign'));

  return {
    async stop() {
      stopping.abort(new Error('stopped'));
      await stopper.stop();
    },
  };
}

/** A replica that slept through its Lease wakes in the middle of something: what it was about to write then is another's to decide. */
function whileLeading({ client, remainingMs }: AssigningContext): KubeClient {
  return {
    ...client,
    call: async (method, path, options) => {
      if (method !== 'GET' && remainingMs() === 0) throw new Error('not written: no longer leading');
      return client.call(method, path, options);
    },
  };
}

/** True where no cache of labelled pods will ever show this pod. */
async function takesNoPart(client: KubeClient, namespace: string, name: string): Promise<boolean> {
  if (namespace === '' || name === '') return true;
  try {
    return podOf(await client.call('GET', resourcePath(pods, { namespace, name }))) === undefined;
  } catch (error) {
    if (isNotFound(error)) return true;
    throw error;
  }
}
