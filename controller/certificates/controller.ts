// Keeps the certificates of the system: two CAs, the serving certificates of webhook and broker, and what publishes the CAs. Runs on the leader.
//
//   watches   the Secrets, the ConfigMap and the webhook configuration, each by name    controller.ts
//   plan      which CAs to keep, and which one signs                                    authorities.ts
//   apply     in an order in which no client meets a certificate that it cannot verify  reconciler.ts
import { randomBytes } from 'node:crypto';
import { brokerCertificateSecretName, caBundleConfigMapName, caSecretName, webhookCertificateSecretName } from '../../api/names.ts';
import { systemClock } from '../../common/clock.ts';
import type { ControllerMetrics } from '../../lib/controller/metrics.ts';
import { startRunner } from '../../lib/controller/runner.ts';
import { startInformer } from '../../lib/kube/informer.ts';
import { metadataOf } from '../../lib/kube/objects.ts';
import type { Resource } from '../../lib/kube/resources.ts';
import { configMaps, mutatingWebhookConfigurations, secrets } from '../../lib/kube/resources.ts';
import type { CertificateOptions } from './reconciler.ts';
import { reconcileCertificates } from './reconciler.ts';

export interface CertificateController {
  /** Resolves after the first reconciliation that succeeded. */
  whenReconciled(): Promise<void>;
  stop(): Promise<void>;
}

export type CertificateControllerOptions = Omit<CertificateOptions, 'clock' | 'random'> &
  Partial<Pick<CertificateOptions, 'clock' | 'random'>> & { metrics?: ControllerMetrics | undefined };

/** Renewal is due at a date, without an event. A leaf lives another month by then, so an hour does not matter. */
const checkMs = 3600 * 1000;
/** Somebody who keeps undoing the changes costs one reconciliation a second. */
const minIntervalMs = 1000;
/** The only key: a reconciliation covers all certificates. */
const certificates = 'certificates';

/** Starts at once and retries until it is stopped. */
export function startCertificateController({ metrics, ...given }: CertificateControllerOptions): CertificateController {
  const options: CertificateOptions = { clock: systemClock, random: randomBytes, ...given };
  const { client, log, namespace } = options;
  const reconciled = Promise.withResolvers<void>();
  let startedAt = systemClock.now();

  const runner = startRunner({
    name: 'certificates',
    concurrency: 1,
    async reconcile(_key, { signal }) {
      startedAt = systemClock.now();
      await reconcileCertificates(options, signal);
      reconciled.resolve();
      return { requeueAfterMs: checkMs };
    },
    backoffMs: [100, 60_000],
    log,
    metrics,
  });

  const watch = (resource: Resource, name: string, place: { namespace?: string }) => {
    const informer = startInformer({
      client,
      log,
      resource,
      ...place,
      fieldSelector: `metadata.name=${name}`,
      project: (raw) => metadataOf(raw).resourceVersion,
    });
    informer.onChange(() => runner.enqueueAfter(certificates, startedAt + minIntervalMs - systemClock.now()));
    return informer;
  };
  const informers = [
    watch(secrets, caSecretName, { namespace }),
    watch(secrets, webhookCertificateSecretName, { namespace }),
    watch(secrets, brokerCertificateSecretName, { namespace }),
    watch(configMaps, caBundleConfigMapName, { namespace }),
    watch(mutatingWebhookConfigurations, options.webhookConfiguration, {}),
  ];
  runner.enqueue(certificates);

  return {
    whenReconciled: () => reconciled.promise,
    async stop() {
      await Promise.all([runner.stop(), ...informers.map((informer) => informer.stop())]);
    },
  };
}
