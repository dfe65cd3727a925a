// Keeps the certificates of the system: two CAs, the serving certificates of webhook and broker, and what publishes the CAs. Registers the webhook once
// it serves its first one. Where others issue the certificates, it only publishes their CAs. Runs on the leader.
//
//   watches   the Secrets, the ConfigMap and the webhook configuration, each by name    controller.ts
//             the endpoints of the webhook                                              webhook-endpoints.ts
//             mounted certificates of others                                            external.ts
//   plan      which CAs to keep, and which one signs                                    authorities.ts
//             which CAs are published                                                   bundle.ts
//             which entries the webhook configuration has                               webhook-entries.ts
//   apply     in an order in which no client meets a certificate that it cannot verify  reconciler.ts
//   status    Events and readiness                                                      registration.ts
import { randomBytes } from 'node:crypto';
import { brokerCertificateSecretName, caBundleConfigMapName, caSecretName, webhookCertificateSecretName } from '../../api/names.ts';
import { systemClock } from '../../common/clock.ts';
import type { ControllerMetrics } from '../../lib/controller/metrics.ts';
import { startRunner } from '../../lib/controller/runner.ts';
import type { RegistrationReason } from '../../lib/identities/reasons.ts';
import type { EventRecorder } from '../../lib/kube/events.ts';
import { startInformer } from '../../lib/kube/informer.ts';
import { metadataOf } from '../../lib/kube/objects.ts';
import type { Resource } from '../../lib/kube/resources.ts';
import { configMaps, mutatingWebhookConfigurations, secrets } from '../../lib/kube/resources.ts';
import { watchExternal } from './external.ts';
import type { CertificateOptions, CertificateState } from './reconciler.ts';
import { reconcileCertificates } from './reconciler.ts';
import { createRegistrationReporter } from './registration.ts';
import { watchWebhookEndpoints } from './webhook-endpoints.ts';

export interface CertificateController {
  /** Resolves after the first reconciliation that succeeded. */
  whenReconciled(): Promise<void>;
  stop(): Promise<void>;
}

export type CertificateControllerOptions = Omit<CertificateOptions, 'clock' | 'random'> &
  Partial<Pick<CertificateOptions, 'clock' | 'random'>> & {
    events: Pick<EventRecorder<RegistrationReason>, 'record'>;
    metrics?: ControllerMetrics | undefined;
    /** Called after each reconciliation that succeeded. */
    onReconciled?: (state: CertificateState) => void;
  };

/** Renewal is due at a date, without an event. A leaf lives another month by then, so an hour does not matter. */
const checkMs = 3600 * 1000;
/** Somebody who keeps undoing the changes costs one reconciliation a second. */
const minIntervalMs = 1000;
/** The only key: a reconciliation covers all certificates. */
const certificates = 'certificates';

/** Starts at once and retries until it is stopped. */
export function startCertificateController({
  metrics,
  events,
  onReconciled,
  ...given
}: CertificateControllerOptions): CertificateController {
  const options: CertificateOptions = { clock: systemClock, random: randomBytes, ...given };
  const { client, log, namespace, webhookService, external } = options;
  const report = createRegistrationReporter({ ...options, events });
  const reconciled = Promise.withResolvers<void>();
  let startedAt = systemClock.now();

  const runner = startRunner({
    name: 'certificates',
    concurrency: 1,
    async reconcile(_key, { signal }) {
      startedAt = systemClock.now();
      const state = await reconcileCertificates(options, endpoints.ready, signal);
      report(state.registration, endpoints.serviceUid);
      onReconciled?.(state);
      reconciled.resolve();
      return { requeueAfterMs: checkMs };
    },
    backoffMs: [100, 60_000],
    log,
    metrics,
  });

  const enqueue = () => runner.enqueueAfter(certificates, startedAt + minIntervalMs - systemClock.now());
  const endpoints = watchWebhookEndpoints({ client, log, namespace, service: webhookService, onChange: enqueue });
  const watch = (resource: Resource, name: string, place: { namespace?: string }) => {
    const informer = startInformer({
      client,
      log,
      resource,
      ...place,
      fieldSelector: `metadata.name=${name}`,
      project: (raw) => metadataOf(raw).resourceVersion,
    });
    informer.onChange(enqueue);
    return informer;
  };
  const ownSecrets = external === undefined ? [caSecretName, webhookCertificateSecretName, brokerCertificateSecretName] : [];
  const informers = [
    ...ownSecrets.map((name) => watch(secrets, name, { namespace })),
    watch(configMaps, caBundleConfigMapName, { namespace }),
    watch(mutatingWebhookConfigurations, options.webhookConfiguration, {}),
  ];
  const unwatch = external === undefined ? () => undefined : watchExternal(external, enqueue);
  runner.enqueue(certificates);

  return {
    whenReconciled: () => reconciled.promise,
    async stop() {
      unwatch();
      await Promise.all([runner.stop(), endpoints.stop(), ...informers.map((informer) => informer.stop())]);
    },
  };
}
