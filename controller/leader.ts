import { systemClock } from '../common/clock.ts';
import type { Stopper } from '../lib/shutdown.ts';
import { createStopper } from '../lib/shutdown.ts';
import { createAssignmentClient } from './assignments/client.ts';
import { watchModes } from './assignments/mode-events.ts';
import { releaseAll } from './assignments/release-all.ts';
import type { AzureCalls } from './azure/call-status.ts';
import { startCertificateController } from './certificates/controller.ts';
import type { ExternalCertificates } from './certificates/external.ts';
import type { CertificateState } from './certificates/reconciler.ts';
import type { Exclusive } from './coexistence/exclusive.ts';
import { runExclusively } from './coexistence/exclusive.ts';
import { createMicDetector } from './coexistence/mic-detector.ts';
import { createOtherReleaseDetector } from './coexistence/other-release-detector.ts';
import { startGuardController } from './guard/controller.ts';
import { watchRuntimeExceptions } from './injection/runtime-exceptions.ts';
import { watchInjection } from './injection/watch.ts';
import { watchWorkloads } from './injection/workloads.ts';
import { expectedObjects } from './installation-problems/expected-objects.ts';
import { missingCrds } from './installation-problems/missing-crds.ts';
import { startReport } from './installation-problems/report.ts';
import { publishStatus } from './installation-status/publisher.ts';
import { installationStatusOf } from './installation-status/status.ts';
import type { Reconcilers, ReconcilersOptions } from './reconcilers.ts';
import { startDetaching, startReconcilers } from './reconcilers.ts';
import { obeyUninstall } from './uninstall/obey.ts';

type AzureParts = 'compute' | 'federatedCredentials' | 'cloud' | 'ownClientId';

export interface LeaderOptions extends Omit<ReconcilersOptions, AzureParts> {
  /** Name of this replica in the Lease. */
  identity: string;
  /** Undefined in managed mode: then whoever runs the nodes attaches the identities, and this controller assigns nothing. */
  arm: (Pick<ReconcilersOptions, AzureParts> & { calls(): AzureCalls }) | undefined;
  /** Called whenever certificates and webhook configuration were compared. */
  onCertificates(state: CertificateState): void;
}

const maxConflictPollMs = 10_000;

/** Does the work of the leader until the signal aborts, which is the end of the term. Resolves once all of it has stopped. */
export async function onStartedLeading(options: LeaderOptions, signal: AbortSignal): Promise<void> {
  const { arm, client, events, instruments, log, settings } = options;
  const ended = new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
  const stopper = createStopper(log);
  instruments.leaderElections.inc();

  const { namespace, webhookService, brokerService, webhookConfiguration, webhookEntries } = settings;
  const certificates = startCertificateController({
    client,
    log,
    events,
    namespace,
    webhookService,
    brokerService,
    webhookConfiguration,
    webhookEntries,
    external: externalCertificates(settings),
    onReconciled: options.onCertificates,
    metrics: instruments.controllers,
  });
  stopper.add('certificates', () => certificates.stop());
  const missing = startReport({ client, events, log, ...settings, metrics: instruments.controllers }, missingCrds(options));
  stopper.add('missing CRDs', () => missing.stop());
  if (settings.watchWorkloads) {
    const workloads = watchWorkloads(options);
    stopper.add('watch of workloads', () => workloads.stop());
  }
  startOnCaches(options, stopper, signal);
  const exclusive = arm && startWriters({ ...options, ...arm });
  stopper.add('reconcilers', async () => exclusive?.stop());
  const status = publishStatus({
    client,
    namespace,
    clock: systemClock,
    log,
    read: () =>
      installationStatusOf({
        leader: options.identity,
        settings,
        calls: arm?.calls(),
        conflict: exclusive?.conflict(),
        scopes: exclusive?.describeScopes() ?? [],
      }),
  });
  stopper.add('installation status', () => status.stop());

  await ended;
  await stopper.stop();
}

function externalCertificates(settings: LeaderOptions['settings']): ExternalCertificates | undefined {
  const { certificateMode: mode, certificatesDirectory: directory, caBundle, namespace } = settings;
  if (mode === 'self-signed') return undefined;
  const source = (secret: string, service: string, chartValue: string) => ({
    mode,
    namespace,
    secret,
    chartValue: `certificates.provided.${chartValue}`,
    dnsName: `${service}.${namespace}.svc`,
  });
  return {
    directory,
    caBundle,
    servers: {
      webhook: source(settings.webhookCertificateSecret, settings.webhookService, 'webhookSecret'),
      broker: source(settings.brokerCertificateSecret, settings.brokerService, 'brokerSecret'),
    },
  };
}

/** Starts what needs complete caches and may run beside another controller. */
function startOnCaches(options: LeaderOptions, stopper: Stopper, signal: AbortSignal): void {
  options.informers
    .whenSynced()
    .then(() => {
      if (signal.aborted) return;
      stopper.add('injection watch', watchInjection(options));
      if (options.arm !== undefined)
        stopper.add(
          'watch of assignment modes',
          watchModes(options.informers.identities, { events: options.events, rules: options.settings }),
        );
      const expected = startExpected(options);
      stopper.add('expected objects', () => expected.stop());
      const guard = startGuard(options);
      if (guard !== undefined) stopper.add('guard', () => guard.stop());
      if (options.settings.runtimeExceptions === 'allow') stopper.add('watch of run-time exceptions', watchRuntimeExceptions(options));
      if (options.arm !== undefined) return;
      const release = startReleaseAll(options);
      stopper.add('release of assignments', () => release.stop());
    })
    .catch((error: unknown) => options.log.error({ error: String(error) }, 'injection watch not started'));
}

function startExpected({ client, events, informers, instruments, log, settings }: LeaderOptions) {
  return startReport(
    { client, events, log, ...settings, metrics: instruments.controllers },
    expectedObjects({ client, exceptions: informers.exceptions, ...settings }),
  );
}

function startGuard({ client, events, informers, instruments, log, settings }: LeaderOptions) {
  const { guardNamespaceSelector: selector, namespace: releaseNamespace } = settings;
  if (selector === undefined) return undefined;
  return startGuardController({
    client,
    log,
    events,
    selector,
    releaseNamespace,
    exceptions: informers.exceptions,
    setUnguarded(counts) {
      instruments.unguardedPods.reset();
      for (const [unguarded, pods] of counts) instruments.unguardedPods.set({ namespace: unguarded }, pods);
    },
    metrics: instruments.controllers,
  });
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

type WriterOptions = LeaderOptions & ReconcilersOptions;

/** What assigns, attaches and federates or, during an uninstall, detaches; while no other controller is in the way. */
function startWriters(options: WriterOptions): Exclusive & Pick<Reconcilers, 'describeScopes'> {
  const { client, log, instruments, settings } = options;
  /** Those that run now, or ran last. */
  let reconcilers: Reconcilers | undefined;
  const exclusive = startExclusively(options, () =>
    obeyUninstall({
      client,
      log,
      clock: systemClock,
      namespace: settings.namespace,
      metrics: instruments.controllers,
      usual() {
        reconcilers = startReconcilers(options);
        return reconcilers;
      },
      detaching: () => startDetaching(options),
    }),
  );
  return { ...exclusive, describeScopes: () => reconcilers?.describeScopes() ?? [] };
}

/** Neither a MIC of aad-pod-identity, unless its lock is to be ignored, nor another release of this system may run beside the reconcilers. */
function startExclusively({ client, events, log, settings }: LeaderOptions, start: () => { stop(): Promise<void> }) {
  const { namespace, webhookConfiguration } = settings;
  const quietMs = settings.upstreamQuiet * 1000;
  return runExclusively({
    events,
    log,
    clock: systemClock,
    detectors: [
      ...(settings.ignoreUpstreamLock ? [] : [createMicDetector({ client, log, clock: systemClock, quietMs })]),
      createOtherReleaseDetector({ client, log, clock: systemClock, namespace, webhookConfiguration }),
    ],
    pollMs: Math.min(maxConflictPollMs, quietMs / 4),
    start,
  });
}
