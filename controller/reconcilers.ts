// The two reconcilers of the leader over one cache:
//
//   assignments/  key: a pod                 writes AzureAssignedIdentities, and keeps which identities each scope needs
//   scopes/       key: a scale set or a VM   attaches and detaches identities, and writes Assigned or the reason
import { systemClock } from '../common/clock.ts';
import { sleep } from '../common/sleep.ts';
import type { Informers } from '../lib/identities/informers.ts';
import type { EventReason } from '../lib/identities/reasons.ts';
import { backoff } from '../lib/kube/backoff.ts';
import type { KubeClient } from '../lib/kube/client.ts';
import type { EventRecorder } from '../lib/kube/events.ts';
import type { Logger } from '../lib/log.ts';
import { createStopper } from '../lib/shutdown.ts';
import type { AssignmentClient } from './assignments/client.ts';
import { createAssignmentClient } from './assignments/client.ts';
import { startAssignments } from './assignments/controller.ts';
import type { DesiredState, DesiredStateIndex } from './assignments/desired-state.ts';
import { createDesiredState } from './assignments/desired-state.ts';
import { isPodAbsent } from './assignments/pod-lookup.ts';
import { recordWrites } from './assignments/recorded-client.ts';
import type { Compute } from './azure/arm/compute.ts';
import { instrumentCompute } from './metrics/instrumented-compute.ts';
import type { Instruments } from './metrics/instruments.ts';
import type { Scopes } from './scopes/controller.ts';
import { startScopes } from './scopes/controller.ts';
import { isProtected } from './scopes/protected.ts';
import type { ControllerSettings } from './settings.ts';

export interface ReconcilersOptions {
  client: KubeClient;
  informers: Informers;
  compute: Compute;
  /** Of the managed identity that the controller itself signs in with now. */
  ownClientId(): string | undefined;
  events: EventRecorder<EventReason>;
  instruments: Instruments;
  log: Logger;
  settings: ControllerSettings;
  /** Time in which this replica may still write, ms; 0 once it no longer leads. */
  remainingMs(): number;
}

/** A PATCH is sent only if so much of the Lease is left: another replica must not take over in the middle of it. */
const writeMarginMs = 5_000;

export function startReconcilers(given: ReconcilersOptions): { stop(): Promise<void> } {
  const options = { ...given, client: refuseUnlessLeading(given) };
  const { client, events, informers, instruments, log } = options;
  const stopper = createStopper(log);
  const stopping = new AbortController();
  const assignmentClient = recordWrites(createAssignmentClient(client), { events, instruments });
  const desired = createDesiredState();
  const scopes = startScopesFor(options, desired, assignmentClient);
  stopper.add('scopes', () => scopes.stop());

  async function start(): Promise<void> {
    // With incomplete caches a pod that is not listed yet would look gone, and its identity unused.
    await informers.whenSynced();
    if (stopping.signal.aborted) return;
    const assignments = startAssignmentsFor(options, desired, assignmentClient, scopes);
    stopper.add('assignments', () => assignments.stop());
    await enqueueRecorded();
  }

  /** A scope that no pod needs any more is known from its record only. Without this its identities would stay attached. */
  async function enqueueRecorded(): Promise<void> {
    for (const retry = backoff(200, 30_000); !stopping.signal.aborted; ) {
      try {
        return await scopes.enqueueRecorded();
      } catch (error) {
        const retryMs = retry.next();
        log.warn({ error: String(error), retryMs: Math.round(retryMs) }, 'scope records cannot be listed');
        await sleep(systemClock, retryMs, stopping.signal);
      }
    }
  }

  start().catch((error: unknown) => log.error({ error: String(error) }, 'reconcilers not started'));

  return {
    async stop() {
      stopping.abort(new Error('stopped'));
      await stopper.stop();
    },
  };
}

function startScopesFor(options: ReconcilersOptions, desired: DesiredState, statuses: AssignmentClient): Scopes {
  const { client, informers, events, instruments, log, settings } = options;
  const margin = Math.min(writeMarginMs, (settings.leaseRenew * 1000) / 2);
  return startScopes({
    client,
    namespace: settings.namespace,
    log,
    clock: systemClock,
    random: Math.random,
    metrics: instruments.controllers,
    needsOf: desired.needsOf,
    scopeOf: desired.scopeOf,
    assignmentOf: (need) => informers.assignmentOf(need.pod.key, need.match.identity.key),
    compute: instrumentCompute(options.compute, instruments),
    statuses,
    events,
    mayWrite: () => options.remainingMs() > margin,
    isProtected: (id, clientId) => isProtected([...settings.immutableUserMsis, options.ownClientId() ?? ''], id, clientId),
    detachDelayMs: settings.identityLinger * 1000,
    adoptAttached: settings.adoptAttached,
    debounce: { quietMs: settings.collectQuiet, maxMs: settings.collectMax },
    pace: { burst: settings.scopeWriteBurst, perMinute: settings.scopeWritesPerMinute },
    intervalMs: settings.identityAssignmentReconcileInterval * 1000,
    onAzureCalled: (durationMs) => {
      instruments.cycle.count.inc();
      instruments.cycle.seconds.observe(durationMs / 1000);
    },
  });
}

function startAssignmentsFor(options: ReconcilersOptions, desired: DesiredStateIndex, client: AssignmentClient, scopes: Scopes) {
  const { settings } = options;
  return startAssignments({
    informers: options.informers,
    desired,
    client,
    events: options.events,
    log: options.log,
    clock: systemClock,
    rules: {
      forceNamespaced: settings.forceNamespaced,
      bindingNamespaces: settings.bindingNamespaces,
      assignUninjected: settings.assignUninjected,
      nodeEndpointDrivers: settings.nodeEndpointDrivers,
      azureScopes: settings.azureScopes,
    },
    isPodAbsent: (podKey) => isPodAbsent(options.client, podKey),
    concurrency: settings.createDeleteBatch,
    metrics: options.instruments.controllers,
    scopes,
  });
}

/** A replica that was suspended while its Lease ran out resumes in the middle of a reconciliation: it must not finish its writes. */
function refuseUnlessLeading({ client, remainingMs }: ReconcilersOptions): KubeClient {
  return {
    ...client,
    call: async (method, path, options) => {
      if (method !== 'GET' && remainingMs() === 0) throw new Error('not written: no longer leading');
      return client.call(method, path, options);
    },
  };
}
