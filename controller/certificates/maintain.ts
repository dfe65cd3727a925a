// Mode `self` (design 7): the leader makes and renews the system's own certificates and heals what others change.
import { randomBytes } from 'node:crypto';
import { brokerCertificateSecretName, caBundleConfigMapName, caSecretName, webhookCertificateSecretName } from '../../api/names.ts';
import { systemClock } from '../../common/clock.ts';
import type { ControllerMetrics } from '../../lib/controller/metrics.ts';
import { startRunner } from '../../lib/controller/runner.ts';
import { startInformer } from '../../lib/kube/informer.ts';
import { metadataOf } from '../../lib/kube/objects.ts';
import type { Resource } from '../../lib/kube/resources.ts';
import { configMaps, mutatingWebhookConfigurations, secrets } from '../../lib/kube/resources.ts';
import type { CertificateOptions } from './reconcile.ts';
import { reconcileCertificates } from './reconcile.ts';

export interface Maintenance {
  /** Resolves after the first pass that did everything. */
  whenDone(): Promise<void>;
  stop(): Promise<void>;
}

/** Renewal is due at a date, without an event. Leaves have a month left by then, so an hour more does not matter. */
const checkMs = 3600 * 1000;
/** Someone who keeps undoing our changes costs one reconciliation a second, not a tight loop. */
const quietMs = 1000;
/** The one key: each reconciliation covers all certificates. */
const certificates = 'certificates';

/** Starts at once and retries for ever. */
export function maintainCertificates(
  given: Omit<CertificateOptions, 'now' | 'random'> &
    Partial<Pick<CertificateOptions, 'now' | 'random'>> & { metrics?: ControllerMetrics | undefined },
): Maintenance {
  const options: CertificateOptions = { now: () => new Date(), random: randomBytes, ...given };
  const { client, log, namespace } = options;
  const done = Promise.withResolvers<void>();
  let startedAt = systemClock.now();

  const runner = startRunner({
    name: 'certificates',
    concurrency: 1,
    async reconcile(_key, { signal }) {
      startedAt = systemClock.now();
      await reconcileCertificates(options, signal);
      done.resolve();
      return { requeueAfterMs: checkMs };
    },
    backoffMs: [100, 60_000],
    log,
    metrics: given.metrics,
  });

  const follow = (resource: Resource, name: string, place: { namespace?: string }) => {
    const informer = startInformer({
      client,
      log,
      resource,
      ...place,
      fieldSelector: `metadata.name=${name}`,
      project: (raw) => metadataOf(raw).resourceVersion,
    });
    informer.onChange(() => runner.enqueueAfter(certificates, startedAt + quietMs - systemClock.now()));
    return informer;
  };
  const informers = [
    follow(secrets, caSecretName, { namespace }),
    follow(secrets, webhookCertificateSecretName, { namespace }),
    follow(secrets, brokerCertificateSecretName, { namespace }),
    follow(configMaps, caBundleConfigMapName, { namespace }),
    follow(mutatingWebhookConfigurations, options.webhookConfiguration, {}),
  ];
  runner.enqueue(certificates);

  return {
    whenDone: () => done.promise,
    async stop() {
      await Promise.all([runner.stop(), ...informers.map((informer) => informer.stop())]);
    },
  };
}
