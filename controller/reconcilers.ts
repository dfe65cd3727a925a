// The three reconcilers of the leader over one cache:
//
//   assignments/  key: a pod                 writes AzureAssignedIdentities, and keeps what each scope and each federated identity is needed for
//   scopes/       key: a scale set or a VM   attaches and detaches identities, and writes Assigned or the reason
//   federation/   key: a managed identity    makes and deletes federated credentials, and writes Assigned or the reason
import type { ScopeStatus } from '../api/installation-status.ts';
import { systemClock } from '../common/clock.ts';
import { sleep } from '../common/sleep.ts';
import type { Cloud } from '../lib/azure/clouds.ts';
import type { Informers } from '../lib/identities/informers.ts';
import type { Need } from '../lib/identities/need.ts';
import type { EventReason } from '../lib/identities/reasons.ts';
import { backoff } from '../lib/kube/backoff.ts';
import type { KubeClient } from '../lib/kube/client.ts';
import type { EventRecorder } from '../lib/kube/events.ts';
import type { Logger } from '../lib/log.ts';
import { createStopper } from '../lib/shutdown.ts';
import { userAgentOf } from '../lib/user-agent.ts';
import type { AssignmentClient } from './assignments/client.ts';
import { createAssignmentClient } from './assignments/client.ts';
import { startAssignments } from './assignments/controller.ts';
import type { DesiredState, DesiredStateIndex } from './assignments/desired-state.ts';
import { createDesiredState } from './assignments/desired-state.ts';
import type { FederatedNeeds, FederatedNeedsIndex } from './assignments/federated-needs.ts';
import { createFederatedNeeds } from './assignments/federated-needs.ts';
import { isPodAbsent } from './assignments/pod-lookup.ts';
import { recordWrites } from './assignments/recorded-client.ts';
import type { Compute } from './azure/arm/compute.ts';
import type { FederatedCredentials } from './azure/arm/federated-credentials.ts';
import type { Federation } from './federation/controller.ts';
import { startFederation } from './federation/controller.ts';
import type { FederationBroker } from './federation/proof-client.ts';
import { createProofClient } from './federation/proof-client.ts';
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
  federatedCredentials: FederatedCredentials;
  cloud: Pick<Cloud, 'resourceManagerScope'>;
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

export interface Reconcilers {
  describeScopes(): ScopeStatus[];
  stop(): Promise<void>;
}

export function startReconcilers(given: ReconcilersOptions): Reconcilers {
  const options = { ...given, client: refuseUnlessLeading(given) };
  const { client, events, informers, instruments, log } = options;
  const stopper = createStopper(log);
  const stopping = new AbortController();
  const assignmentClient = recordWrites(createAssignmentClient(client), { events, instruments });
  const desired = createDesiredState();
  const scopes = startScopesFor(options, desired, assignmentClient);
  stopper.add('scopes', () => scopes.stop());
  stopper.add('gauges of scopes', instruments.observeScopes(scopes.count));
  const broker = createBroker(options);
  stopper.add('connection to the broker', () => broker.close());
  const federatedNeeds = createFederatedNeeds();
  const federation = startFederationFor(options, { needs: federatedNeeds, statuses: assignmentClient, broker });
  stopper.add('federation', () => federation.stop());

  async function start(): Promise<void> {
    // With incomplete caches a pod that is not listed yet would look gone, and its identity unused.
    await informers.whenSynced();
    if (stopping.signal.aborted) return;
    const assignments = startAssignmentsFor(options, { client: assignmentClient, desired, scopes, federatedNeeds, federation });
    stopper.add('assignments', () => assignments.stop());
    federation.followRecords();
    await enqueueRecordedScopes(scopes, log, stopping.signal);
  }

  start().catch((error: unknown) => log.error({ error: String(error) }, 'reconcilers not started'));

  return {
    describeScopes: scopes.describe,
    async stop() {
      stopping.abort(new Error('stopped'));
      await stopper.stop();
    },
  };
}

/** For an uninstall: detaches what the records say is ours, without a delay, and deletes our federated credentials. Writes no object of a pod. */
export function startDetaching(given: ReconcilersOptions): { stop(): Promise<void> } {
  const settings = { ...given.settings, identityDetachDelay: 0, federatedDetachDelay: 0 };
  const options = { ...given, settings, client: refuseUnlessLeading(given) };
  const stopping = new AbortController();
  const statuses = createAssignmentClient(options.client);
  const scopes = startScopesFor(options, createDesiredState(), statuses);
  const broker = createBroker(options);
  const federation = startFederationFor(options, { needs: createFederatedNeeds(), statuses, broker });
  federation.followRecords();
  void enqueueRecordedScopes(scopes, options.log, stopping.signal);
  return {
    async stop() {
      stopping.abort(new Error('stopped'));
      await Promise.all([scopes.stop(), federation.stop()]);
      await broker.close();
    },
  };
}

/** What no pod needs any more is known from its record only. Without this it would stay attached. Never rejects; ends with the signal. */
async function enqueueRecordedScopes(scopes: Scopes, log: Logger, signal: AbortSignal): Promise<void> {
  for (const retry = backoff(200, 30_000); !signal.aborted; ) {
    try {
      return await scopes.enqueueRecorded();
    } catch (error) {
      const retryMs = retry.next();
      log.warn({ error: String(error), retryMs: Math.round(retryMs) }, 'scope records cannot be listed');
      await sleep(systemClock, retryMs, signal);
    }
  }
}

/** Less of the Lease than this, and another replica could take over in the middle of a write. */
const mayWrite = ({ remainingMs, settings }: ReconcilersOptions): boolean =>
  remainingMs() > Math.min(writeMarginMs, (settings.leaseRenew * 1000) / 2);

/** What both reconcilers that write to Azure are given. */
function writerOptions(options: ReconcilersOptions) {
  const { client, informers, events, instruments, log, settings } = options;
  return {
    client,
    namespace: settings.namespace,
    log,
    clock: systemClock,
    random: Math.random,
    metrics: instruments.controllers,
    assignmentOf: (need: Need) => informers.assignmentOf(need.pod.key, need.match.identity.key),
    events,
    mayWrite: () => mayWrite(options),
  };
}

function startScopesFor(options: ReconcilersOptions, desired: DesiredState, statuses: AssignmentClient): Scopes {
  const { instruments, settings } = options;
  return startScopes({
    ...writerOptions(options),
    statuses,
    needsOf: desired.needsOf,
    scopeOf: desired.scopeOf,
    compute: instrumentCompute(options.compute, instruments),
    isProtected: (id, clientId) => isProtected([...settings.immutableUserMsis, options.ownClientId() ?? ''], id, clientId),
    detachDelayMs: settings.identityDetachDelay * 1000,
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

function createBroker({ client, settings }: ReconcilersOptions) {
  return createProofClient({
    client,
    namespace: settings.namespace,
    service: settings.brokerService,
    address: settings.brokerAddress || undefined,
    tokenFile: settings.brokerTokenFile,
    userAgent: userAgentOf('controller', settings.customUserAgent),
    clock: systemClock,
  });
}

interface FederationParts {
  needs: FederatedNeeds;
  statuses: AssignmentClient;
  broker: FederationBroker;
}

function startFederationFor(options: ReconcilersOptions, { needs, statuses, broker }: FederationParts): Federation {
  const { settings, cloud, federatedCredentials, informers } = options;
  if (informers.federationRecords === undefined) throw new Error('federation records are not watched, as in managed mode');
  return startFederation({
    ...writerOptions(options),
    records: informers.federationRecords,
    statuses,
    needsOf: needs.needsOf,
    credentials: federatedCredentials,
    broker,
    manageCredentials: settings.federationManageCredentials,
    detachDelayMs: settings.federatedDetachDelay * 1000,
    proofResource: cloud.resourceManagerScope.replace(/\/\.default$/, ''),
  });
}

interface AssignmentsParts {
  client: AssignmentClient;
  desired: DesiredStateIndex;
  scopes: Scopes;
  federatedNeeds: FederatedNeedsIndex;
  federation: Federation;
}

function startAssignmentsFor(options: ReconcilersOptions, parts: AssignmentsParts) {
  const { settings } = options;
  return startAssignments({
    ...parts,
    informers: options.informers,
    events: options.events,
    log: options.log,
    clock: systemClock,
    rules: {
      forceNamespaced: settings.forceNamespaced,
      bindingNamespaces: settings.bindingNamespaces,
      assignUninjected: settings.assignUninjected,
      nodeEndpointDrivers: settings.nodeEndpointDrivers,
      azureScopes: settings.azureScopes,
      assignment: settings.assignment,
      assignmentOverrides: settings.assignmentOverrides,
    },
    isPodAbsent: (podKey) => isPodAbsent(options.client, podKey),
    concurrency: settings.createDeleteBatch,
    metrics: options.instruments.controllers,
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
